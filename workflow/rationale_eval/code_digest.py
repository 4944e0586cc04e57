"""Digests of the code behind each stage, so that an edit re-runs the stages that use it and no others.

Snakemake does not see the modules that a job imports. Each rule therefore has a param ``code``: a digest of the syntax
trees (comments and docstrings left out) of the modules that its stage uses, which ``stage_modules`` lists.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

from rationale_eval.stage_modules import MEMO, READERS, STAGES

PACKAGE = Path(__file__).parent


def strip_docstrings(body: list[ast.stmt]) -> None:
    """Take the docstring out of the body of a module, class or function, and out of those defined directly in it."""
    first = body[0].value if body and isinstance(body[0], ast.Expr) else None
    if isinstance(first, ast.Constant) and isinstance(first.value, str):
        del body[0]
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            strip_docstrings(node.body)


@cache
def _module(name: str) -> str:
    source = (PACKAGE / f"{name}.py").read_text(encoding="utf-8")
    tree = ast.parse(source)
    strip_docstrings(tree.body)
    return ast.dump(tree)


def _digest(modules: tuple[str, ...]) -> str:
    text = "\n".join(f"{name} {_module(name)}" for name in sorted(set(modules)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def stage_code(stage: str, reader: str | None = None) -> str:
    """The digest of the code that ``stage`` uses; changes with the code, not with comments or docstrings.

    ``reader`` is the format of the corpus that the stage ``corpus`` reads; None if a plugin reads it.
    """
    needs = ("plugins",) if reader is None else READERS[reader]
    return _digest(STAGES[stage] + (needs if stage == "corpus" else ()))


def memo_code(stage: str) -> str:
    """The digest of the code that computes what ``stage`` stores in the memo."""
    return _digest(MEMO[stage])
