"""Write the JSON Schema of the configuration (for editors) and its reference (for people) from the types."""

from __future__ import annotations

import argparse
import json
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from rationale_eval import config
from rationale_eval.tables import write_text


def schema() -> str:
    """The JSON Schema of config.yaml."""
    return json.dumps(config.Config.model_json_schema(), indent=2) + "\n"


def reference() -> str:
    """Every key of config.yaml as Markdown."""
    lines = [
        "# Configuration",
        "",
        "Written from the types in `workflow/rationale_eval/config.py` and `config_*.py` by `make docs`; edit those.",
        "",
        "Registries (`corpora`, `models`, `tasks`, `methods`, `budgets`) say what there is; `study` picks from them",
        "what is run. A file given with `--configfile` is merged over `config.yaml`: dictionaries add up, lists",
        "replace.",
    ]
    done: set[type[BaseModel]] = set()
    queue: list[type[BaseModel]] = [config.Config]
    while queue:
        model = queue.pop(0)
        if model in done:
            continue
        done.add(model)
        lines += ["", f"## {model.__name__}", "", " ".join((model.__doc__ or "").split()), ""]
        lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
        lines += [_line(name, field) for name, field in model.model_fields.items()]
        queue += [inner for field in model.model_fields.values() for inner in _models_in(field.annotation)]
    return "\n".join(lines) + "\n"


def _line(name: str, field: FieldInfo) -> str:
    default = "required" if field.is_required() else f"`{_plain(field.get_default())}`"
    return f"| `{name}` | {_type(field.annotation)} | {default} | {field.description} |"


def _plain(value: Any) -> str:
    if isinstance(value, BaseModel):
        return "see below"
    return json.dumps(value) if value is not PydanticUndefined else ""


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in typing.get_args(annotation):
        yield from _models_in(inner)


def _type(annotation: Any) -> str:
    """A type in words: ``list of text``, ``one of `a`, `b` ``."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(inner[0])
    if origin is typing.Literal:
        return "one of " + ", ".join(f"`{value}`" for value in inner) if len(inner) > 1 else f"`{inner[0]}`"
    if origin is list:
        return f"list of {_type(inner[0])}"
    if origin is dict:
        return f"names with {_type(inner[1])}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type(part) for part in inner)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    return {
        str: "text",
        int: "whole number",
        float: "number",
        bool: "true or false",
        type(None): "null",
        Any: "anything",
    }[annotation]


def main(argv: list[str]) -> None:
    """Command line of the stage."""
    parser = argparse.ArgumentParser(prog="rationale_eval schema", description=__doc__)
    parser.add_argument("--schema", type=Path, default=Path("workflow/schemas/config.schema.json"), help="JSON Schema")
    parser.add_argument("--reference", type=Path, default=Path("docs/configuration.md"), help="reference (Markdown)")
    args = parser.parse_args(argv)
    write_text(args.schema, schema())
    write_text(args.reference, reference())
