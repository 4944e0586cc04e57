"""Batches: every input once, within limits, smaller when memory runs out, skipped when known."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rationale_eval.errors import UserError
from rationale_eval.memo import Memo
from rationale_eval.models.batching import plan, run


@given(st.lists(st.integers(1, 60), max_size=40), st.integers(1, 200), st.integers(1, 9))
def test_a_plan_has_every_input_once_within_the_limits(lengths, max_tokens, max_rows):
    batches = plan(lengths, max_tokens, max_rows)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert 1 <= len(batch) <= max_rows
        assert len(batch) == 1 or max(lengths[index] for index in batch) * len(batch) <= max_tokens
    in_order = [lengths[index] for batch in batches for index in batch]
    assert in_order == sorted(lengths, reverse=True), "longest first, neighbours of like length"


@given(st.lists(st.integers(1, 60), min_size=2, max_size=40), st.integers(1, 200), st.integers(1, 9))
def test_no_batch_stays_open_for_an_input_that_would_fit(lengths, max_tokens, max_rows):
    batches = plan(lengths, max_tokens, max_rows)
    for batch in batches[:-1]:
        assert len(batch) == max_rows or lengths[batch[0]] * (len(batch) + 1) > max_tokens


def test_a_worked_plan():
    assert plan([3, 10, 4, 10, 50], max_tokens=20, max_rows=8) == [[4], [1, 3], [2, 0]]
    assert plan([5, 5, 5], max_tokens=100, max_rows=2) == [[0, 1], [2]]
    assert plan([], 10, 10) == []


ON_GPU = torch.OutOfMemoryError("simulated")
ON_CPU = RuntimeError(
    "[enforce fail at alloc_cpu.cpp] data. DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."
)
BY_DRIVER = RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported")
BY_CUBLAS = RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


class Computer:
    """Squares numbers, at most ``fits`` at a time, and remembers the batches that it was given."""

    def __init__(self, fits=100, error=ON_GPU):
        self.fits = fits
        self.error = error
        self.batches = []

    def __call__(self, batch):
        self.batches.append(list(batch))
        if len(batch) > self.fits:
            raise self.error
        return [{"square": number * number} for number in batch]


ITEMS = {f"key {number}": number for number in range(1, 11)}


def square_all(root, computer, items=ITEMS, max_rows=8):
    with Memo(root, "stage", {}) as memo:
        run("squares", items, lambda number: number, computer, memo, 1000, max_rows)
        return {key: memo[key]["square"] for key in items}


def test_every_input_gets_its_own_result(tmp_path):
    computer = Computer()
    assert square_all(tmp_path, computer) == {f"key {number}": number**2 for number in range(1, 11)}
    assert [len(batch) for batch in computer.batches] == [8, 2]


@pytest.mark.parametrize("fits", [1, 2, 3, 5])
@pytest.mark.parametrize("error", [ON_GPU, ON_CPU, BY_DRIVER, BY_CUBLAS], ids=["gpu", "cpu", "driver", "cublas"])
def test_out_of_memory_makes_batches_smaller_and_results_no_different(tmp_path, fits, error):
    computer = Computer(fits, error)
    assert square_all(tmp_path, computer) == {f"key {number}": number**2 for number in range(1, 11)}
    done = [number for batch in computer.batches if len(batch) <= fits for number in batch]
    assert sorted(done) == list(range(1, 11)), "nothing is computed twice"
    assert len(computer.batches[0]) == 8


def test_out_of_memory_with_one_input_is_the_users_to_solve(tmp_path):
    with pytest.raises(UserError, match="out of memory with a single input"):
        square_all(tmp_path, Computer(fits=0))


def test_other_errors_are_not_taken_for_lack_of_memory(tmp_path):
    def broken(batch):
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        square_all(tmp_path, broken)


def test_what_was_done_before_memory_ran_out_is_kept(tmp_path):
    """The longest inputs fail, the halves of the batch that fit are not lost with the job."""

    class FailsOnOne(Computer):
        def __call__(self, batch):
            if 1 in batch:
                raise torch.OutOfMemoryError("simulated")
            return super().__call__(batch)

    with pytest.raises(UserError):
        square_all(tmp_path, FailsOnOne(), max_rows=10)
    with Memo(tmp_path, "stage", {}) as memo:
        assert len(memo) >= 5


def test_a_resumed_run_computes_what_is_missing_in_the_batches_of_the_first(tmp_path):
    first = Computer()

    def killed_after_one(batch):
        if first.batches:
            raise KeyboardInterrupt
        return first(batch)

    with pytest.raises(KeyboardInterrupt):
        square_all(tmp_path, killed_after_one, max_rows=3)
    resumed = Computer()
    assert square_all(tmp_path, resumed, max_rows=3)["key 10"] == 100
    whole = Computer()
    square_all(tmp_path / "other", whole, max_rows=3)
    assert first.batches + resumed.batches == whole.batches
    third = Computer()
    square_all(tmp_path, third, max_rows=3)
    assert third.batches == []


def test_more_inputs_compute_only_the_new_ones(tmp_path):
    square_all(tmp_path, Computer())
    computer = Computer()
    found = square_all(tmp_path, computer, ITEMS | {"key 20": 20, "key 0.5": 0.5})
    assert found["key 20"] == 400
    assert sorted(number for batch in computer.batches for number in batch) == [0.5, 20]


def test_the_log_tells_what_is_known_and_how_far_the_work_is(tmp_path, capsys):
    square_all(tmp_path, Computer())
    log = capsys.readouterr().err
    assert "squares: 10 inputs, 0 in the memo, 10 to compute" in log
    assert re.search(r"squares: 10 inputs computed in [\d.]+ s, [\d.]+ s per 1,000 inputs", log)
    square_all(tmp_path, Computer(fits=3), ITEMS | {f"new {number}": 100 + number for number in range(4)})
    log = capsys.readouterr().err
    assert "squares: 14 inputs, 10 in the memo, 4 to compute" in log
    assert "squares: 14/14 inputs" in log
    assert "out of memory with 4 inputs: trying 2 at a time" in log


def test_memory_that_a_cpu_really_lacks_is_told_from_other_errors(tmp_path):
    def greedy(batch):
        if len(batch) > 1:
            torch.empty(2**60, dtype=torch.uint8)
        return [{"square": number**2} for number in batch]

    assert square_all(tmp_path, greedy)["key 10"] == 100


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "wrap",
    [lambda number: {"scores": np.array([0.0, number], np.float32)}, lambda number: np.array([number]), float],
    ids=["named", "array", "number"],
)
def test_numbers_that_are_not_finite_are_refused_and_not_kept(tmp_path, bad, wrap):
    with Memo(tmp_path, "stage", {}) as memo:
        with pytest.raises(UserError, match=r"squares: a result is not finite.*bfloat16 or float32"):
            run("squares", {"key": 1, "other": 2}, int, lambda batch: [wrap(bad), wrap(1.0)], memo, 1000, 8)
        assert len(memo) == 0
        run("words", {"key": 1}, int, lambda batch: [{"reply": "nan", "tokens": 3}], memo, 1000, 8)
