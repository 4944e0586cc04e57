"""What training is made of before any model: settings, held-out rows, balance, the order of an epoch, rates, files."""

from __future__ import annotations

import errno
import random
from collections import Counter
from dataclasses import replace
from itertools import chain

import pytest
from rationale_eval.corpora.instances import Instance, whitespace_words
from rationale_eval.errors import UserError
from rationale_eval.finetuning.course import dropout_seed, learning_rate, plan
from rationale_eval.finetuning.data import balanced, split, text_key
from rationale_eval.finetuning.settings import Settings
from rationale_eval.finetuning.whole_folder import whole_folder

SPEC = {
    "method": "lora",
    "rank": 4,
    "alpha": 8,
    "dropout": 0.1,
    "targets": "all_linear",
    "learning_rate": 1e-3,
    "weight_decay": 0.01,
    "batch_rows": 4,
    "accumulation": 1,
    "warmup_steps": 0,
    "schedule": "constant",
    "max_grad_norm": 1.0,
    "gradient_checkpointing": False,
    "validation_rows": 0,
    "balance": "none",
    "dtype": "float32",
    "system_prompt": None,
    "prompt_style": "auto",
    "template": {},
    "task": {"version": 1},
    "shots": {"count": 0, "seed": 0},
}


def instance(name, text, label="positive"):
    return Instance(name, label, {"text": text}, whitespace_words([text]), None)


def rows(count, labels=("positive", "negative")):
    return [instance(f"r{k}", f"text number {k}", labels[k % len(labels)]) for k in range(count)]


def test_the_key_of_a_text_stays_what_it_is():
    """Another would hold out other rows."""
    fields = {"premise": "  Die\u00a0STRASSE,\tdie Straße — naïve\n", "hypothesis": "Ein “Weg”  \U0001f600"}
    found = text_key(Instance("x", "positive", fields, whitespace_words(fields.values()), None))
    assert found == "27b445d369a22479427d3a580e02b7b228df6966c9d5847a6eb521bfa2ce755f"


@pytest.mark.parametrize("held", [0, 1, 7, 39])
def test_held_out_rows_are_disjoint_by_text_and_as_many_as_asked(held):
    train, validation = split(rows(40), held)
    assert len(validation) == held
    assert len(train) == 40 - held
    assert not {text_key(row) for row in train} & {text_key(row) for row in validation}


def test_rows_with_the_same_text_stay_together_whatever_their_case_and_spacing():
    texts = ["One film", "one  FILM", " One film ", "two", "three", "four"]
    given = [instance(str(k), text) for k, text in enumerate(texts)]
    for held in range(1, 6):
        train, validation = split(given, held)
        assert len(validation) <= held
        assert {row.id for row in given[:3]} <= {row.id for row in train} or {row.id for row in given[:3]} <= {
            row.id for row in validation
        }


def test_rows_of_one_document_are_held_out_together_or_not_at_all():
    given = [replace(row, group=f"article {place // 4}") for place, row in enumerate(rows(40))]
    for held in (4, 9, 20, 39):
        train, validation = split(given, held)
        assert len(validation) == 4 * (held // 4)
        assert not {row.group for row in train} & {row.group for row in validation}


def test_the_split_depends_on_the_texts_alone():
    given = rows(40)
    expected = {row.id for row in split(given, 10)[1]}
    random.Random(1).shuffle(given)
    assert {row.id for row in split(given, 10)[1]} == expected


def test_nothing_left_to_train_on_is_refused():
    with pytest.raises(UserError, match="validation_rows is 5, but there are only 5"):
        split(rows(5), 5)


def test_balance_keeps_the_rarest_label_whole_and_the_order():
    given = rows(30, ("positive", "positive", "negative"))
    kept = balanced(given)
    assert Counter(row.label for row in kept) == {"positive": 10, "negative": 10}
    assert [row.id for row in kept] == [row.id for row in given if row in kept]
    assert balanced(given[::-1]) == kept[::-1]


def test_an_epoch_has_every_row_once_and_its_order_is_a_function_of_seed_and_epoch():
    lengths = [random.Random(k).randrange(10, 200) for k in range(101)]
    steps = plan(lengths, 4, 2, seed=1, epoch=3)
    assert sorted(index for step in steps for batch in step for index in batch) == list(range(101))
    assert max(len(batch) for step in steps for batch in step) == 4
    assert max(map(len, steps)) == 2
    assert steps == plan(lengths, 4, 2, seed=1, epoch=3)
    assert steps != plan(lengths, 4, 2, seed=1, epoch=4)
    assert steps != plan(lengths, 4, 2, seed=2, epoch=3)


def test_a_step_holds_the_same_rows_however_it_is_divided():
    lengths = [random.Random(k).randrange(10, 200) for k in range(50)]
    whole, single = plan(lengths, 8, 1, 0, 1), plan(lengths, 1, 8, 0, 1)
    assert [list(chain(*step)) for step in whole] == [list(chain(*step)) for step in single]


def test_batches_hold_rows_of_similar_length():
    lengths = [random.Random(k).randrange(10, 200) for k in range(400)]

    def padding(steps):
        batches = [[lengths[index] for index in batch] for step in steps for batch in step]
        return sum(max(batch) * len(batch) - sum(batch) for batch in batches)

    shuffled = list(range(400))
    random.Random(0).shuffle(shuffled)
    at_random = [[shuffled[place : place + 8]] for place in range(0, 400, 8)]
    assert padding(plan(lengths, 8, 1, 0, 1)) < 0.15 * padding(at_random)


def test_fewer_rows_than_a_batch_are_one_step():
    assert [sorted(chain(*step)) for step in plan([5, 6, 7], 8, 2, 0, 1)] == [[0, 1, 2]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rank": 0}, "rank is 0; it must be a number and at least 1"),
        ({"rank": None}, "rank is None"),
        ({"batch_rows": 0}, "batch_rows is 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"learning_rate": "1e-4"}, "learning_rate is '1e-4'"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"max_grad_norm": 0}, "max_grad_norm is 0; it must be above 0, or null"),
        ({"method": "prefix"}, "method is 'prefix', not one of lora, full"),
        ({"schedule": "cosine"}, "schedule is 'cosine', not one of constant, inverse_sqrt"),
        ({"dtype": "float16"}, "dtype is 'float16'"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(change, message):
    with pytest.raises(UserError, match=message):
        Settings.parse(SPEC | change)


def test_missing_and_unknown_settings_are_named():
    spec = {("learnrate" if key == "learning_rate" else key): value for key, value in SPEC.items()}
    with pytest.raises(UserError, match=r"lacks \['learning_rate'\] and has the unknown keys \['learnrate'\]"):
        Settings.parse(spec)


def test_full_fine_tuning_needs_no_lora_settings():
    nothing = dict.fromkeys(("rank", "alpha", "dropout", "targets"))
    assert Settings.parse(SPEC | nothing | {"method": "full"}).weights_dtype == "float32"


def test_another_task_or_way_of_asking_is_another_run():
    for change in (
        {"alpha": 9},
        {"task": {"version": 2}},
        {"shots": {"count": 2, "seed": 0}},
        {"prompt_style": "chat"},
    ):
        assert Settings.parse(SPEC | change).identity() != Settings.parse(SPEC).identity()


def test_a_schedule_warms_up_and_does_not_know_the_end():
    constant = Settings.parse(SPEC | {"warmup_steps": 4})
    falling = Settings.parse(SPEC | {"warmup_steps": 4, "schedule": "inverse_sqrt"})
    for settings in (constant, falling):
        assert [learning_rate(settings, step) for step in (1, 2, 4)] == pytest.approx([2.5e-4, 5e-4, 1e-3])
    assert learning_rate(constant, 1000) == 1e-3
    assert learning_rate(falling, 16) == pytest.approx(5e-4)
    assert learning_rate(Settings.parse(SPEC), 1) == 1e-3


def test_every_step_of_every_epoch_has_a_seed_of_its_own():
    seeds = {dropout_seed(seed, epoch, number) for seed in range(3) for epoch in range(1, 11) for number in range(50)}
    assert len(seeds) == 3 * 10 * 50


def test_a_full_disk_leaves_no_checkpoint_and_the_old_one_alone(tmp_path):
    def write(name, full=False):
        with whole_folder(tmp_path / "epoch-01") as folder:
            (folder / name).write_text("some")
            if full:
                raise OSError(errno.ENOSPC, "No space left on device")

    def found():
        return sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))

    write("old")
    with pytest.raises(UserError, match=r"could not be saved.*make room"):
        write("new", full=True)
    assert found() == ["epoch-01", "epoch-01/old"]
    write("new")
    assert found() == ["epoch-01", "epoch-01/new"]
