"""A report names no home folder."""

from __future__ import annotations

import json

import pytest
from rationale_eval.home_paths import without_home
from rationale_eval.report.layout import read_card


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/me/models/one", "~/models/one"),
        ("/me", "~"),
        ("/meadow/one", "/meadow/one"),
        ("/home/somebody/rationales.csv", "~/rationales.csv"),
        ("/Users/somebody/x", "~/x"),
        ("/users/somebody/x", "~/x"),
        ("/export/home/somebody/x", "~/x"),
        ("/mnt/c/Users/somebody/x", "~/x"),
        ("C:\\Users\\somebody\\x", "~\\x"),
        ("file:///home/somebody/x", "~/x"),
        ("/home", "/home"),
        ("/data/home/one", "/data/home/one"),
        ("models/one", "models/one"),
        ("see /home/somebody", "see /home/somebody"),
        (3, 3),
        (None, None),
    ],
)
def test_the_home_folder_is_a_tilde(monkeypatch, path, shown):
    monkeypatch.setenv("HOME", "/me")
    assert without_home({"a": [path]}) == {"a": [shown]}


def test_a_root_that_is_the_home_folder_hides_nothing(monkeypatch):
    monkeypatch.setenv("HOME", "/")
    assert without_home("/data/x") == "/data/x"


def test_the_card_of_a_local_model_is_shown_without_its_home(tmp_path):
    card = {"source": {"path": "/home/somebody/models/one"}}
    (tmp_path / "card.json").write_text(json.dumps(card))
    assert read_card(tmp_path) == {"source": {"path": "~/models/one"}}
