"""Digests of the code behind each stage, so that an edit re-runs the stages that use it and no others.

Snakemake does not see the modules that a job imports. Each rule therefore has a param ``code``: a digest of its stage's
module and of all that this imports of the package, found in the syntax trees (comments and docstrings left out). An
import counts by the digest of what it imports, not by where that stands: to move a module re-runs nothing.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from rationale_eval.stages import STAGES

PACKAGE = Path(__file__).parent

# These say how a job starts, speaks and fails, and what it records; no number in a table depends on them.
# Nor on where files of the hub lie: their checksums are in a card, which is an input; nor on how rows are shared out.
UNTRACKED = frozenset(
    {"__init__", "__main__", "code_digest", "errors", "long_arguments", "progress", "provenance", "stages", "yaml_keys"}
    | {"sources/card", "sources/hub", "shards", "merge", "models/memory"}
)

# The modules that compute what is stored in the memo, by stage. Less than the stage: how words are chosen or masked
# shows in the input itself, which is the other part of the memo's key, and how results are stored changes none.
MEMO_ROOTS = {
    "model": ("models/gguf_file",),
    "evidence": ("evidence/measure", "models/batching"),
    "replies": ("evidence/list_end", "models/batching", "models/generation"),
    "attributions": ("evidence/gradient_x_attention", "evidence/integrated", "evidence/measure", "models/batching"),
    "perturb": ("models/variants",),
}
STORING = frozenset({"memo", "tables"})
# What of a syntax tree holds statements.
PARTS = (ast.Module, ast.stmt, ast.excepthandler, ast.match_case)
# Of the stage ``corpus``, which reads a format of the package without them.
PLUGINS = frozenset({"plugins"})


def stage_code(stage: str, reader: str | None = None) -> str:
    """The digest of the code that ``stage`` uses; changes with the code, not with comments, docstrings or places.

    ``reader`` is the format of the corpus that the stage ``corpus`` reads; None if a plugin reads it.
    """
    roots, left_out = _roots(stage, reader)
    return _together(tuple(_digest(root, left_out) for root in roots))


def memo_code(stage: str) -> str:
    """The digest of the code that computes what ``stage`` stores in the memo."""
    return _together(tuple(_digest(root, UNTRACKED | STORING) for root in MEMO_ROOTS[stage]))


def modules_of(stage: str, reader: str | None = None) -> set[str]:
    """The modules that ``stage_code`` covers, as paths below the package without suffix."""
    roots, left_out = _roots(stage, reader)
    return _reached(roots, left_out)


def memo_modules_of(stage: str) -> set[str]:
    """The modules that ``memo_code`` covers."""
    return _reached(MEMO_ROOTS[stage], UNTRACKED | STORING)


def _roots(stage: str, reader: str | None) -> tuple[tuple[str, ...], frozenset[str]]:
    root = STAGES[stage][0].replace(".", "/")
    if reader is None:
        return (root,), UNTRACKED
    return (root, f"corpora/{reader}"), UNTRACKED | PLUGINS


def _reached(roots: tuple[str, ...], left_out: frozenset[str]) -> set[str]:
    reached: set[str] = set()
    waiting = set(roots) - left_out
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting |= {target for target, _, _ in _module(name)[1]} - left_out - reached
    return reached


def _together(digests: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:16]


@cache
def _digest(name: str, left_out: frozenset[str]) -> str:
    """The digest of one module and of those that it imports; of one that is ``left_out``, nothing but that it is."""
    if name in left_out:
        return "-"
    code, imports = _module(name)
    # Sorted, since their order in a file is that of the modules' names.
    names = sorted(f"{_digest(target, left_out)} {what} {known_as}" for target, what, known_as in imports)
    return hashlib.sha256("\n".join([code, *names]).encode()).hexdigest()


@cache
def _module(name: str) -> tuple[str, frozenset[tuple[str, str, str]]]:
    """The code of a module without its imports of the package, and these: target, what of it, and known as what."""
    tree = ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))
    found = set(_taken_out(tree))
    return code_of(tree), frozenset(found)


def _taken_out(node: ast.AST) -> Iterator[tuple[str, str, str]]:
    """Take the imports of the package's own modules out of a tree, those in functions included."""
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        kept: list[ast.AST] = []
        for child in getattr(node, field, ()) if isinstance(node, PARTS) else ():
            if isinstance(child, ast.ImportFrom) and (child.module or "").split(".")[0] == PACKAGE.name:
                yield from _imported(child)
            else:
                yield from _taken_out(child)
                kept.append(child)
        if isinstance(getattr(node, field, None), list):
            setattr(node, field, kept)


def _imported(node: ast.ImportFrom) -> Iterator[tuple[str, str, str]]:
    parts = (node.module or "").split(".")[1:]
    for alias in node.names:
        within = "/".join([*parts, alias.name])
        is_module = (PACKAGE / f"{within}.py").is_file()
        target, what = (within, "") if is_module else ("/".join(parts), alias.name)
        yield target, what, alias.asname or alias.name


def code_of(tree: ast.AST) -> str:
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
