"""Tables that lie where they do not belong are named before a report is made of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from rationale_eval.errors import UserError
from rationale_eval.provenance import provenance
from rationale_eval.report.belonging import check_belonging
from rationale_eval.tables import TableSchema, write_table

NUMBERS = TableSchema(name="numbers", columns=pa.schema([pa.field("n", pa.int32())]), key=("n",), required=("n",))
CELLS = ("films/small/base", "films/small/epoch-01-seed-0")


def write(path, number, inputs):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(path, [{"n": number}], NUMBERS, provenance("made", {}, inputs))


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Two cells, each with tables made of each other and of the corpus; paths are relative, as in a run."""
    monkeypatch.chdir(tmp_path)
    folder = Path("results")
    test = folder / "corpora/films/test.parquet"
    Path("films.csv").write_text("rows")
    write(test, 0, {"source": Path("films.csv")})
    for number, cell in enumerate(CELLS):
        rationales, alignment = folder / cell / "rationales/own.parquet", folder / cell / "alignment.parquet"
        write(rationales, number, {"test": test})
        write(alignment, number, {"own": rationales, "test": test})
    return folder


def read(results):
    """What a report would read."""
    paths = [results / cell / name for cell in CELLS for name in ("alignment.parquet", "rationales/own.parquet")]
    check_belonging([*paths, results / "corpora/films/test.parquet"], results)


def test_tables_of_one_run_belong_together_wherever_they_are_moved(results):
    read(results)
    results.rename("elsewhere")
    read(Path("elsewhere"))
    read(Path("elsewhere").absolute())


def test_tables_swapped_between_cells_are_named(results):
    one, two = (results / cell / "alignment.parquet" for cell in CELLS)
    one.rename("aside")
    two.rename(one)
    Path("aside").rename(two)
    with pytest.raises(UserError, match=rf"^{one}: .* so it is a table of {CELLS[1]}, in the place of another"):
        read(results)


def test_a_table_of_another_run_is_named(results):
    one, two = (results / cell / "rationales/own.parquet" for cell in CELLS)
    shutil.copy(two, one)  # made of shared files alone, so that nothing in it says which cell it is of
    with pytest.raises(UserError, match=rf"alignment.parquet: does not belong to {one}, which it was made from"):
        read(results)


def test_another_corpus_under_old_tables_is_named(results):
    write(results / "corpora/films/test.parquet", 7, {"source": Path("films.csv")})
    with pytest.raises(UserError, match=r"does not belong to results/corpora/films/test.parquet"):
        read(results)


def test_what_people_bring_may_lie_anywhere(results):
    """Below the results, under the name of a table, as another study's table, or by an absolute path."""
    films, test = Path("corpora/films/test.parquet"), results / "corpora/films/test.parquet"
    write(films, 9, {})
    below = results / "raw/films/v1/films.parquet"
    write(below, 8, {})
    other = results / CELLS[1] / "rationales/own.parquet"
    for source in (films, films.absolute(), below, below.absolute()):
        write(test, 0, {"source": source})
        for cell in CELLS:
            write(results / cell / "rationales/own.parquet", 3, {"test": test, "raw": below, "external": other})
            write(results / cell / "alignment.parquet", 4, {"own": results / cell / "rationales/own.parquet"})
        read(results)


def test_results_at_an_absolute_place_belong_together_and_are_looked_at(results):
    there = results.absolute()
    for number, cell in enumerate(CELLS):
        write(there / cell / "alignment.parquet", number, {"own": there / cell / "rationales/own.parquet"})
    read(there)
    write(there / CELLS[0] / "alignment.parquet", 5, {"own": there / CELLS[1] / "rationales/own.parquet"})
    with pytest.raises(UserError, match=rf"so it is a table of {CELLS[1]}"):
        read(there)


def test_files_that_are_not_read_are_not_asked_for(results):
    (results / CELLS[0] / "rationales/own.parquet").unlink()
    check_belonging([results / CELLS[0] / "alignment.parquet"], results)
