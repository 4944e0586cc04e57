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


def code_of(tree: ast.Module) -> str:
    """The syntax tree as text, without docstrings, which are taken out of ``tree``."""
    _strip_docstrings(tree)
    return ast.dump(tree)


def _strip_docstrings(node: ast.AST) -> None:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        first = node.body[0].value if node.body and isinstance(node.body[0], ast.Expr) else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            del node.body[0]
    for child in ast.iter_child_nodes(node):
        # Expressions, most of a tree, define nothing that has a docstring.
        if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            _strip_docstrings(child)


@cache
def _module(name: str) -> str:
    return code_of(ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8")))


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
