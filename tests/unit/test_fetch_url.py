"""Downloads from a URL, against a server on the loopback interface that drops, delays, changes and refuses files."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
import requests
from downloads import DATA, NAME, SHA256, leave_partial, left
from loopback_hub import FileServer
from rationale_eval.errors import UserError
from rationale_eval.sources import url as stage

PACKAGE = Path(__file__).parents[2] / "workflow"
OTHER = random.Random(2).randbytes(300_000)


def ranges(server: FileServer) -> list[str | None]:
    return [seen.headers.get("range") for seen in server.seen]


@pytest.mark.parametrize("sha256", [SHA256, SHA256.upper(), None], ids=["pinned", "capitals", "not pinned"])
def test_a_file_arrives_whole_with_its_checksum_in_the_log(server, target, capsys, sha256):
    spec = json.dumps({"url": f"{server.url}{NAME}?signature=hidden", "sha256": sha256})
    stage.main(["--spec", spec, "--output", str(target)])
    assert target.read_bytes() == DATA
    assert left(target) == [target.name]
    log = capsys.readouterr().err
    assert f"sha256 {SHA256}" in log
    assert ("not pinned" in log) == (sha256 is None)
    assert "300/300 kB" in log
    assert "hidden" not in log


def test_a_pinned_file_that_is_there_is_not_fetched_again(server, target):
    target.parent.mkdir()
    target.write_bytes(DATA)
    assert stage.download(server.url + NAME, SHA256, target) == SHA256
    assert server.seen == []
    assert left(target) == [target.name]


def test_dropped_connections_are_taken_up_where_they_broke_off(server, target):
    server.cut[NAME] = [100_000, 50_000]
    stage.download(server.url + NAME, SHA256, target)
    assert target.read_bytes() == DATA
    assert ranges(server) == [None, "bytes=100000-", "bytes=150000-"]


def test_tries_are_counted_anew_when_bytes_arrive(server, target):
    server.cut[NAME] = [1000] * 20
    stage.download(server.url + NAME, SHA256, target)
    assert target.read_bytes() == DATA
    assert len(server.seen) == 21


@pytest.mark.parametrize("sent", [1, 299_999, 300_000])
def test_a_partial_file_of_an_earlier_run_is_continued(server, target, sent):
    leave_partial(server, target, min(sent, 1000))
    # As many bytes as are there when a job is killed, which may be all of them.
    target.with_name(".corpus.tar.gz.partial").write_bytes(DATA[:sent])
    stage.download(server.url + NAME, SHA256, target)
    assert target.read_bytes() == DATA
    assert ranges(server) == [f"bytes={min(sent, 299_999)}-"]
    assert left(target) == [target.name]


VALIDATORS = {
    "other ETag": ({"ETag": '"1"'}, {"ETag": '"2"'}),
    "other date": (
        {"Last-Modified": "Mon, 02 Nov 2026 10:00:00 GMT"},
        {"Last-Modified": "Tue, 03 Nov 2026 10:00:00 GMT"},
    ),
    "weak ETag": ({"ETag": 'W/"1"'}, {"ETag": 'W/"1"'}),
    "nothing to tell by": ({}, {}),
}


@pytest.mark.parametrize(("before", "after"), VALIDATORS.values(), ids=VALIDATORS.keys())
def test_a_file_that_may_have_changed_is_fetched_from_the_start(server, target, before, after):
    server.validators[NAME] = before
    leave_partial(server, target, 1000)
    server.files[NAME], server.validators[NAME] = OTHER, after
    stage.download(server.url + NAME, None, target)
    assert target.read_bytes() == OTHER


def test_a_partial_of_another_address_is_not_continued(server, target):
    leave_partial(server, target, 1000)
    server.files["/other"] = OTHER
    stage.download(f"{server.url}/other", None, target)
    assert target.read_bytes() == OTHER
    assert ranges(server) == [None]


def test_a_server_that_mixes_two_files_is_found_out(server, target):
    """It answers ranges of a changed file without looking at the condition."""
    leave_partial(server, target, 1000)
    tag = {"ETag": f'"{SHA256}"'}
    server.files[NAME], server.validators[NAME] = OTHER + b"longer", tag
    stage.download(server.url + NAME, None, target)
    assert target.read_bytes() == OTHER + b"longer"
    assert ranges(server) == ["bytes=1000-", None]


def test_a_damaged_note_means_a_fresh_start(server, target):
    leave_partial(server, target, 1000)
    target.with_name(".corpus.tar.gz.partial.json").write_text('{"url": ')
    stage.download(server.url + NAME, SHA256, target)
    assert target.read_bytes() == DATA
    assert ranges(server) == [None]


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again(server, target, status):
    server.answers[NAME] = [(status, {}), (status, {})]
    stage.download(server.url + NAME, SHA256, target)
    assert target.read_bytes() == DATA
    assert len(server.seen) == 3


REFUSALS = {
    "404": ([(404, {})], "no such file"),
    "410": ([(410, {})], "no such file"),
    "401": ([(401, {})], "refuses it"),
    "403": ([(403, {})], "refuses it"),
    "418": ([(418, {})], "answered 418"),
    "always 500": ([(500, {})] * 4, "gave up after 4 tries: the server answered 500"),
    "redirect without end": ([(302, {"Location": NAME})] * 11, "more than 10 redirects"),
    "redirect to a file": ([(302, {"Location": "file:///etc/passwd"})], "only http:// and https://"),
    "redirect with a password": ([(302, {"Location": "http://u:hunter2@127.0.0.1/"})], "user name or password"),
}


@pytest.mark.parametrize(("answers", "words"), REFUSALS.values(), ids=REFUSALS.keys())
def test_refusals_are_told_and_leave_nothing(server, target, answers, words):
    server.answers[NAME] = list(answers)
    with pytest.raises(UserError, match=words) as caught:
        stage.download(server.url + NAME, None, target)
    assert left(target) == []
    assert "hunter2" not in str(caught.value)
    assert len(server.seen) == len(answers)


ADDRESSES = {
    "file:///etc/passwd": "only http",
    "ftp://example.org/a": "only http",
    "/data/corpus.zip": "only http",
    "https:///a": "only http",
    "http://[::1/a": "malformed",
    "http://example.org:port/a": "malformed",
    "https://me:hunter2/a@example.org": "malformed",
    "https://me:hunter2@example.org/a": "user name or password",
    "https://hunter2@example.org/a": "user name or password",
}


@pytest.mark.parametrize(("address", "words"), ADDRESSES.items())
def test_addresses_that_are_not_downloaded(target, address, words):
    with pytest.raises(UserError, match=words) as caught:
        stage.download(address, None, target)
    assert "hunter2" not in str(caught.value)
    assert not target.parent.exists()


def test_a_redirect_to_another_file_is_followed(server, target):
    server.files["/mirror/corpus.tar.gz"] = server.files.pop(NAME)
    server.answers[NAME] = [(302, {"Location": "mirror/corpus.tar.gz"})]
    stage.download(server.url + NAME, SHA256, target)
    assert target.read_bytes() == DATA


def test_a_login_comes_from_netrc_and_stays_with_its_host(server, target, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password hunter2\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server.files["/mirror"] = DATA
    server.answers[NAME] = [(302, {"Location": f"http://localhost:{server.port}/mirror"})]
    stage.download(server.url + NAME, SHA256, target)
    assert ["authorization" in seen.headers for seen in server.seen] == [True, False]


def test_a_redirect_from_https_to_http_is_refused(server, target, monkeypatch):
    def get(self, address, **options):
        answer = requests.Response()
        answer.status_code, answer.raw = 302, io.BytesIO()
        answer.headers["Location"] = server.url + NAME
        return answer

    monkeypatch.setattr(requests.Session, "get", get)
    with pytest.raises(UserError, match=r"https://example.org/a: redirects from https to unprotected http on 127\.0"):
        stage.download("https://example.org/a", None, target)
    assert server.seen == []


def test_other_bytes_than_the_pinned_ones_are_refused_and_not_left_behind(server, target):
    with pytest.raises(UserError, match=f"sha256 is {SHA256}, the configuration expects {'0' * 64}"):
        stage.download(server.url + NAME, "0" * 64, target)
    assert left(target) == []


def test_an_older_file_stays_when_a_new_download_fails(server, target):
    target.parent.mkdir()
    target.write_bytes(b"older")
    with pytest.raises(UserError, match="no such file"):
        stage.download(f"{server.url}/absent", None, target)
    assert target.read_bytes() == b"older"


def test_a_server_that_falls_silent_is_given_up(server, target, monkeypatch):
    monkeypatch.setattr(stage, "TIMEOUT", (5.0, 0.2))
    server.hold[NAME] = 100_000
    with pytest.raises(UserError, match=r"gave up after 4 tries: .*timed out"):
        stage.download(server.url + NAME, None, target)
    assert not target.exists()


def test_a_server_that_always_breaks_off_is_given_up(server, target):
    server.validators[NAME] = {}
    server.cut[NAME] = [2000, 1000] * 10
    with pytest.raises(UserError, match="gave up after 4 tries"):
        stage.download(server.url + NAME, None, target)
    assert len(server.seen) == 4


def test_a_host_that_cannot_be_reached(server, target):
    address = server.url
    server.http.server_close()
    with pytest.raises(UserError, match=rf"{address}/a: gave up after 4 tries: .*refused") as caught:
        stage.download(f"{address}/a?signature=hidden", None, target)
    assert "hidden" not in str(caught.value)


def test_a_file_larger_than_the_free_space_is_not_begun(server, target, monkeypatch):
    usage = namedtuple("usage", "free")(1000)
    monkeypatch.setattr(stage.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserError, match="the disk is full"):
        stage.download(server.url + NAME, SHA256, target)
    assert left(target) == []


def test_a_folder_that_cannot_be_written(server, tmp_path):
    (tmp_path / "cache").write_text("a file in the place of the folder")
    with pytest.raises(UserError, match=r"cache/corpus.tar.gz: cannot be written"):
        stage.download(server.url + NAME, None, tmp_path / "cache" / "corpus.tar.gz")


def start(server: FileServer, target: Path) -> subprocess.Popen[str]:
    spec = json.dumps({"url": server.url + NAME, "sha256": SHA256})
    command = [sys.executable, "-m", "rationale_eval", "fetch_url", "--spec", spec, "--output", str(target)]
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def test_a_killed_job_is_continued_by_the_next(server, target):
    server.hold[NAME] = 200_000
    with start(server, target) as job:
        assert server.holding.wait(20)
        partial = target.with_name(".corpus.tar.gz.partial")
        while not partial.exists() or partial.stat().st_size < 100_000:
            assert job.poll() is None
        job.send_signal(signal.SIGKILL)
    kept = partial.stat().st_size
    assert not target.exists()
    server.hold.clear()
    with start(server, target) as job:
        assert job.wait(20) == 0, job.stderr.read()
        assert f"goes on after {kept} of 300000 bytes" in job.stderr.read()
    assert target.read_bytes() == DATA
    assert left(target) == [target.name]


def test_two_jobs_for_one_file_share_one_download(server, target):
    server.hold[NAME] = 200_000
    with start(server, target) as first:
        assert server.holding.wait(20)
        with start(server, target) as second:
            server.hold.clear()
            with pytest.raises(subprocess.TimeoutExpired):
                second.wait(1)
            first.send_signal(signal.SIGKILL)
            assert second.wait(20) == 0, second.stderr.read()
    assert target.read_bytes() == DATA
    assert left(target) == [target.name]
