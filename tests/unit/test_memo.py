"""The memo: exact, shared between writers, and never wrong after a kill or damage."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from rationale_eval.memo import Memo, digest

CONTEXT = {"spec": {"dtype": "float32"}, "code": "abc"}


def files(root):
    return sorted(root.rglob("*.jsonl"))


def open_memo(root, context=CONTEXT):
    return Memo(root, "stage", context)


def test_results_are_found_again(tmp_path):
    with open_memo(tmp_path) as memo:
        assert len(memo) == 0
        assert "k" not in memo
        memo.put(
            {"k": {"scores": np.array([1.5, -2.0]), "text": "naïve\n“reply” \u2028", "none": None, "n": [1, [2.5]]}}
        )
        memo.put({"other": np.arange(3.0)})
        assert "k" in memo
        assert len(memo) == 2
    with open_memo(tmp_path) as memo:
        assert len(memo) == 2
        found = memo["k"]
        assert found["scores"].tolist() == [1.5, -2.0]
        assert (found["text"], found["none"], found["n"]) == ("naïve\n“reply” \u2028", None, [1, [2.5]])
        assert memo["other"].tolist() == [0.0, 1.0, 2.0]


def test_every_single_precision_number_survives_bit_by_bit(tmp_path):
    words = np.array([0, 1, 0x80000000, 0x7F800000, 0xFF800000, 0x7FC00000, 0x3DCCCCCD, 0x007FFFFF], dtype="<u4")
    with open_memo(tmp_path) as memo:
        memo.put({"k": {"bits": words.view("<f4")}})
    with open_memo(tmp_path) as memo:
        assert memo["k"]["bits"].view("<u4").tolist() == words.tolist()


@given(arrays.arrays(np.float64, st.integers(0, 5), elements=st.floats(-1e30, 1e30)))
def test_the_process_that_computed_sees_what_a_later_one_will_read(tmp_path_factory, values):
    root = tmp_path_factory.mktemp("memo")
    with open_memo(root) as memo:
        memo.put({"k": {"values": values}})
        now = memo["k"]["values"]
    later = open_memo(root)["k"]["values"]
    assert now.dtype == later.dtype == np.float32
    assert now.tolist() == later.tolist() == values.astype(np.float32).tolist()


def test_what_cannot_be_stored_is_an_error_and_hides_nothing(tmp_path):
    with open_memo(tmp_path) as memo:
        memo.put({"good": 1})
        with pytest.raises(TypeError, match="cannot store set"):
            memo.put({"beside": 1, "bad": {1, 2}})
        assert list(memo.keys()) == ["good"]
        memo.put({"later": 2})
    with open_memo(tmp_path) as memo:
        assert memo["good"] == 1
        assert memo["later"] == 2
        assert sorted(memo.keys()) == ["good", "later"]


def test_what_was_not_written_is_not_there(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with open_memo(tmp_path) as memo:
        memo.put({"good": 1})
        with monkeypatch.context() as disk:
            disk.setattr(os, "fsync", full)
            for _ in range(2):
                with pytest.raises(OSError, match="No space left"):
                    memo.put({"lost": 2})
        assert list(memo.keys()) == ["good"]
        memo.put({"later": 3})
    (file,) = files(tmp_path)
    assert len(file.read_bytes().splitlines()) == 2
    assert sorted(open_memo(tmp_path).keys()) == ["good", "later"]


def test_contexts_and_stages_are_kept_apart(tmp_path):
    with open_memo(tmp_path) as memo:
        memo.put({"k": 1})
    for stage, context in (
        ("stage", {**CONTEXT, "code": "abd"}),
        ("stage", {**CONTEXT, "spec": {"dtype": "bfloat16"}}),
        ("stage", {**CONTEXT, "more": None}),
        ("other", CONTEXT),
    ):
        assert "k" not in Memo(tmp_path, stage, context)
    reordered = dict(reversed(list(CONTEXT.items())))
    assert "k" in Memo(tmp_path, "stage", reordered)


def test_the_context_is_written_beside_the_results(tmp_path):
    memo = open_memo(tmp_path)
    assert json.loads((memo.folder / "context.json").read_text()) == CONTEXT
    assert [path.name for path in memo.folder.iterdir()] == ["context.json"], "nothing computed, no other file"


def test_two_writers_at_once_share_what_they_flushed(tmp_path):
    with open_memo(tmp_path) as first, open_memo(tmp_path) as second:
        first.put({"a": 1})
        second.put({"b": 2})
        first.put({"c": 3})
        assert len(files(tmp_path)) == 2
        third = open_memo(tmp_path)
        assert {key: third[key] for key in "abc"} == {"a": 1, "b": 2, "c": 3}
        assert "b" not in first


def test_a_file_cut_at_any_byte_of_its_last_line_loses_that_line_at_most(tmp_path, capsys):
    with open_memo(tmp_path) as memo:
        memo.put({"a": {"v": np.array([1.0])}, "b": {"v": np.array([2.0, 3.0])}})
    (path,) = files(tmp_path)
    whole = path.read_bytes()
    start = whole.index(b"\n") + 1
    for length in range(start, len(whole) + 1):
        path.write_bytes(whole[:length])
        capsys.readouterr()
        memo = open_memo(tmp_path)
        assert memo["a"]["v"].tolist() == [1.0]
        if length >= len(whole) - 1:  # all but the end of the line
            assert memo["b"]["v"].tolist() == [2.0, 3.0]
        else:
            assert "b" not in memo
        assert ("1 damaged line" in capsys.readouterr().err) == (start < length < len(whole) - 1)


def test_any_changed_byte_costs_a_line_and_never_gives_another_number(tmp_path):
    with open_memo(tmp_path) as memo:
        memo.put({f"key {number}": {"v": np.array([number / 7])} for number in range(4)})
    expected = {f"key {number}": [float(np.float32(number / 7))] for number in range(4)}
    (path,) = files(tmp_path)
    whole = path.read_bytes()
    for place in range(len(whole)):
        for flip in (0x01, 0x20, 0xFF):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :])
            memo = open_memo(tmp_path)
            found = {key: memo[key]["v"].tolist() for key in expected if key in memo}
            assert found.items() <= expected.items()
            assert len(memo) == len(found) >= 2


def test_what_is_no_record_is_left_out(tmp_path, capsys):
    with open_memo(tmp_path) as memo:
        memo.put({"one": 1})
    folder = files(tmp_path)[0].parent
    (folder / "a folder.jsonl").mkdir()
    bodies = [
        b"[1]",
        b"{}",
        b'{"key": ["a"], "value": 1}',
        b'{"key": "k", "value": {"f4": 3}}',
        b"no JSON",
        b"[" * 9999,
        b'{"f4": "AAAAAA=="}',
    ]
    odd = b"".join(f"{zlib.crc32(body):08x} ".encode() + body + b"\n" for body in bodies)
    (folder / "odd.jsonl").write_bytes(odd)
    with open_memo(tmp_path) as memo:
        assert dict(zip(memo.keys(), memo.values(), strict=True)) == {"one": 1}
    said = capsys.readouterr().err
    assert "a folder.jsonl: is no file and is not read" in said
    assert "odd.jsonl: 7 damaged line(s) left out" in said


def test_a_result_lost_to_damage_can_be_stored_again(tmp_path):
    with open_memo(tmp_path) as memo:
        memo.put({"a": 1})
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes()[:-5])
    with open_memo(tmp_path) as memo:
        memo.put({"a": 1})
    with open_memo(tmp_path) as memo:
        assert memo["a"] == 1


WRITER = """
import sys
import numpy as np
from pathlib import Path
from rationale_eval.memo import Memo
with Memo(Path(sys.argv[1]), "stage", {"spec": {"dtype": "float32"}, "code": "abc"}) as memo:
    number = len(memo)
    while True:
        memo.put({str(number + extra): {"v": np.full(200, number + extra, dtype="f4")} for extra in range(20)})
        number += 20
        print(number, flush=True)
"""


def test_what_was_flushed_survives_kill_9_again_and_again(tmp_path):
    workflow = Path(__file__).parents[2] / "workflow"
    flushed = 0
    for _ in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(workflow)},
        )
        assert writer.stdout is not None
        for _ in range(5):
            flushed = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        memo = open_memo(tmp_path)
        assert len(memo) >= flushed
        for number in range(flushed):
            assert memo[str(number)]["v"].tolist() == [float(number)] * 200


def test_digests_do_not_depend_on_the_order_of_keys_and_do_on_everything_else():
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert len({digest(value) for value in ([1, 2], [2, 1], [[1], 2], ["1", 2], [1, 2, None], {"1": 2}, "[1,2]")}) == 7
