"""Put the tables of shards together into the table that one job would have written, provenance included.

It takes the whole command of the stage whose shards it merges, and of it reads the instances, the shards' tables and
the outputs; the parts of an output are the tables that have its name.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from rationale_eval.corpora.instances import iter_instances
from rationale_eval.errors import UserError
from rationale_eval.evidence.attribution_schema import SCHEMAS
from rationale_eval.evidence.reply_schema import REPLIES
from rationale_eval.evidence.schema import EVIDENCE, PREDICTIONS
from rationale_eval.faithfulness.schema import PERTURBATIONS
from rationale_eval.progress import say
from rationale_eval.tables import ROW_GROUP, TableSchema, load_table, read_provenance, write_table

KNOWN = (PREDICTIONS, *EVIDENCE.values(), *SCHEMAS.values(), REPLIES, PERTURBATIONS)
# What the stage `evidence` writes; of all others `--output` is the one table, and predictions are an input.
OF_EVIDENCE = ("predictions", "gradients", "attention")
# What the provenance of one shard may have unlike another's: the time, and what is shown of a first instance, which a
# shard without instances lacks.
OF_A_SHARD = {"created", "example_prompt", "verbaliser_tokens"}


def schema_of(table: pa.Table, where: Path) -> TableSchema:
    """The schema of a model stage that ``table`` has. Raises ``UserError`` if it has none of them."""
    for schema in KNOWN:
        if table.schema.names == schema.columns.names:
            return schema
    raise UserError(f"{where}: is no table that is made in shards; it has the columns {table.schema.names}")


def common_provenance(parts: Sequence[Path]) -> dict[str, Any]:
    """The provenance of the whole: that of the first shard, as of the time when the last one was written.

    Raises ``UserError`` where shards were made from or with different things, which one table cannot say of itself.
    """
    made = [read_provenance(part) for part in parts]
    for part, other in zip(parts, made, strict=True):
        names = made[0].keys() | other.keys()
        if differ := sorted(name for name in names - OF_A_SHARD if made[0].get(name) != other.get(name)):
            raise UserError(f"{part}: differs from {parts[0]} in {', '.join(differ)}; delete both and run again")
    return made[0] | {"created": max(one["created"] for one in made)}


def merge(identifiers: Sequence[str], parts: Sequence[Path], output: Path) -> int:
    """Write the rows of ``parts`` in the order of the instances ``identifiers``; the number of rows.

    Rows of one instance keep their order. Raises ``UserError`` unless each instance has its rows in one of the parts,
    and as ``common_provenance``.
    """
    provenance = common_provenance(parts)
    tables = [load_table(part) for part in parts]
    schema = schema_of(tables[0], parts[0])
    for part, table in zip(parts, tables, strict=True):
        schema.check(table, str(part))
    places: dict[str, list[int]] = {}
    owner: dict[str, Path] = {}
    row = 0
    for part, table in zip(parts, tables, strict=True):
        for identifier in table.column("id").to_pylist():
            if owner.setdefault(identifier, part) != part:
                raise UserError(f"{part}: instance {identifier!r} is in {owner[identifier]} too")
            places.setdefault(identifier, []).append(row)
            row += 1
    if missing := [identifier for identifier in identifiers if identifier not in places]:
        raise UserError(f"{output}: no shard has instance {missing[0]!r} ({len(missing)} lacking); delete the shards")
    if unknown := sorted(places.keys() - set(identifiers)):
        raise UserError(f"{owner[unknown[0]]}: instance {unknown[0]!r} is not among the instances")
    order = [place for identifier in identifiers for place in places[identifier]]
    return write_table(output, _rows(pa.concat_tables(tables), order), schema, provenance)


def _rows(table: pa.Table, order: list[int]) -> Iterator[dict[str, Any]]:
    for start in range(0, len(order), ROW_GROUP):
        yield from table.take(order[start : start + ROW_GROUP]).to_pylist()


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval merge", description=__doc__, allow_abbrev=False)
    parser.add_argument("--test", type=Path, required=True, help="the instances (Parquet)")
    parser.add_argument("--parts", type=Path, nargs="+", required=True, help="the tables of all shards")
    for name in (*OF_EVIDENCE, "output"):
        parser.add_argument(f"--{name}", type=Path, help="output: a table by the name of its parts (Parquet)")
    args, _ = parser.parse_known_args(argv)
    identifiers = [instance.id for instance in iter_instances(args.test)]
    for output in [args.output] if args.output else [getattr(args, name) for name in OF_EVIDENCE]:
        parts = [part for part in args.parts if part.name == output.name]
        if not parts:
            raise UserError(f"{output}: none of the parts is called {output.name}")
        say(f"{output}: {merge(identifiers, parts, output)} rows of {len(parts)} shards")
