"""Plugins: a user's own corpus formats, methods and metrics, from Python files that the configuration names.

A plugin is one file. It registers functions under names with the decorators here:

``@corpus_format(name)`` on ``read(source, options, side, left_out)``, which yields the instances of one side, "train"
or "test", of the file or folder ``source`` and counts in ``left_out[reason]`` every row that it leaves out;
``@method(name, evidence=...)`` on ``score(instance, evidence, options)``, which returns one score per word, where
``evidence`` is the instance's row of the table of that evidence ("gradients" or "attention"), or None;
``@metric(name)`` on ``measure(selected, gold)``, which returns one number for two masks over the words of an instance:
those that a rationale keeps and those that people marked, at least one.

``options`` is what the configuration says under that key. What goes wrong inside a plugin is told with its file, line
and the instance: plugins are run as they are, with all rights of the person who runs the study.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import math
import re
import struct
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from rationale_eval.code_digest import code_of
from rationale_eval.corpora.instances import Instance, Word, check
from rationale_eval.errors import UserError

CORPUS_FORMAT, METHOD, METRIC = "corpus format", "method", "metric"

# What a function of each kind is called with.
ARGUMENTS = {
    CORPUS_FORMAT: ("source", "options", "side", "left_out"),
    METHOD: ("instance", "evidence", "options"),
    METRIC: ("selected", "gold"),
}
# Evidence that a method may read. The names are repeated here, as those below are, because a stage that runs a plugin
# would otherwise import, and re-run after an edit of, what it does not use; tests compare them with their origins.
EVIDENCE = ("gradients", "attention")
# Names that the package itself has.
TAKEN = {
    CORPUS_FORMAT: frozenset({"rated_snippets", "planted", "esnli", "eraser", "medical_bios", "table"}),
    METHOD: frozenset(
        {
            *EVIDENCE,
            "gradient_x_attention",
            "prompt",
            "random",
            "first_words",
            "last_words",
            "human",
            "all_words",
            "external",
            "ablation",
            "integrated_gradients",
        }
    ),
    METRIC: frozenset(
        {"precision", "recall", "f1", "f1_chance", "f1_corrected", "iou", "auprc", "auprc_chance"}
        # Other columns of that table.
        | {"id", "method", "sample", "budget", "status", "words", "gold", "selected", "short", "metrics"}
    ),
}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

F = TypeVar("F", bound=Callable[..., Any])
Reader = Callable[[Path, Mapping[str, Any], str, Counter[str]], Iterator[Instance]]


@dataclass(frozen=True)
class Plugin:
    """One registered function, and the file that it is from; ``evidence`` is what a method reads, if anything."""

    kind: str
    name: str
    function: Callable[..., Any]
    path: Path
    evidence: str | None = None

    @property
    def where(self) -> str:
        """How messages name it."""
        return f"plugin {self.path}: {self.kind} {self.name!r} ({self.function.__name__})"


@dataclass(frozen=True)
class Registry:
    """What the plugins register, by name."""

    corpus_formats: dict[str, Plugin] = field(default_factory=dict)
    methods: dict[str, Plugin] = field(default_factory=dict)
    metrics: dict[str, Plugin] = field(default_factory=dict)

    def of(self, kind: str) -> dict[str, Plugin]:
        """The part of one kind."""
        return {CORPUS_FORMAT: self.corpus_formats, METHOD: self.methods, METRIC: self.metrics}[kind]

    def get(self, kind: str, name: str) -> Plugin:
        """The plugin of this kind and name. Raises ``UserError`` if there is none."""
        found = self.of(kind)
        if name not in found:
            raise UserError(f"{kind} {name!r}: no plugin registers it; registered are {', '.join(found) or 'none'}")
        return found[name]

    def reader(self, name: str) -> Reader:
        """The reader of a corpus format, as the package's own are; its options are ``spec["options"]``."""
        plugin = self.get(CORPUS_FORMAT, name)
        return lambda source, spec, side, left_out: run_corpus(plugin, source, spec["options"], side, left_out)


# What the file that is being imported has registered so far: (kind, name, function, evidence).
_registered: list[tuple[str, Any, Any, Any]] = []


def corpus_format(name: str) -> Callable[[F], F]:
    """Register ``read(source, options, side, left_out)`` as the reader of a corpus format."""
    return _register(CORPUS_FORMAT, name)


def method(name: str, evidence: str | None = None) -> Callable[[F], F]:
    """Register ``score(instance, evidence, options)`` as a method that reads "gradients", "attention" or nothing."""
    return _register(METHOD, name, evidence)


def metric(name: str) -> Callable[[F], F]:
    """Register ``measure(selected, gold)`` as a metric of alignment."""
    return _register(METRIC, name)


def _register(kind: str, name: Any, evidence: Any = None) -> Callable[[F], F]:
    if callable(name):
        raise TypeError('the decorator needs a name in brackets, such as @metric("overlap")')

    def keep(function: F) -> F:
        _registered.append((kind, name, function, evidence))
        return function

    return keep


def load(paths: Sequence[Path]) -> Registry:
    """Import each plugin file, once, and collect what it registers.

    Raises ``UserError`` naming the file for one that is missing, fails on import, registers nothing or a name that is
    taken, or a function that cannot be called as its kind is.
    """
    registry = Registry()
    for path in dict.fromkeys(paths):
        _registered.clear()
        _import(path)
        if not _registered:
            raise UserError(f"plugin {path}: registers nothing; use @corpus_format, @method or @metric with a name")
        for kind, name, function, evidence in _registered:
            plugin = _checked(path, kind, name, function, evidence)
            others = registry.of(kind)
            if name in TAKEN[kind]:
                raise UserError(f"{plugin.where}: the package itself has this name; choose another")
            if name in others:
                raise UserError(f"{plugin.where}: the name is also registered by {others[name].path}; choose another")
            others[name] = plugin
    return registry


def digest(path: Path) -> str:
    """A digest of the plugin's code, comments and docstrings left out.

    Raises ``UserError`` naming the file if it is missing or no Python.
    """
    return hashlib.sha256(code_of(_compiled(path, ast.PyCF_ONLY_AST)).encode()).hexdigest()[:16]


def _compiled(path: Path, flags: int = 0) -> Any:
    try:
        return compile(path.read_bytes(), str(path), "exec", flags, dont_inherit=True)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UserError(f"plugin {path}: there is no such file") from None
    except OSError as error:
        raise UserError(f"plugin {path}: cannot be read ({error.strerror})") from None
    except SyntaxError as error:
        raise UserError(f"plugin {path}: line {error.lineno}: {error.msg}") from None
    except ValueError as error:  # NUL bytes, in some releases of Python
        raise UserError(f"plugin {path}: is no Python source ({error})") from None


def _import(path: Path) -> None:
    # Compiled from the text, not by the import system, whose cache beside the file may be older than an edit.
    code = _compiled(path)
    # Named after the path, so that two files of one name stay apart; dataclasses look their module up by its name.
    name = f"rationale_eval_plugin_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}"
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    try:
        exec(code, module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UserError(f"plugin {path}: {_told(error, path)} (while it was imported)") from None


def _told(error: BaseException, path: Path) -> str:
    """The line of the plugin in which ``error`` arose, its type and what it says."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{f'line {lines[-1]}: ' if lines else ''}{type(error).__name__}: {error}"


def _checked(path: Path, kind: str, name: Any, function: Any, evidence: Any) -> Plugin:
    if not inspect.isroutine(function):
        raise UserError(f"plugin {path}: {kind} {name!r} is not a function but {type(function).__name__}")
    plugin = Plugin(kind, name, function, path, evidence)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise UserError(f"{plugin.where}: a name has up to 64 letters, digits, '_', '.' and '-', and no other signs")
    if evidence is not None and evidence not in EVIDENCE:
        raise UserError(f"{plugin.where}: evidence is {evidence!r}; it can be one of {', '.join(EVIDENCE)}, or None")
    try:
        signature = inspect.signature(function)
        signature.bind(*ARGUMENTS[kind])
    except TypeError:
        raise UserError(
            f"{plugin.where}: takes {signature}, but will be called with ({', '.join(ARGUMENTS[kind])})"
        ) from None
    return plugin


def run_corpus(
    plugin: Plugin, source: Path, options: Mapping[str, Any], side: str, left_out: Counter[str]
) -> Iterator[Instance]:
    """The instances that a plugin reads, checked, in its order.

    Raises ``UserError`` naming the plugin and the instance for an exception inside it or something other than a
    consistent ``Instance``.
    """
    last = "before the first instance"
    rows = _called(plugin, last, lambda: iter(plugin.function(source, dict(options), side, left_out)))
    done = object()
    while (row := _called(plugin, last, lambda: next(rows, done))) is not done:
        if not isinstance(row, Instance):
            raise UserError(f"{plugin.where}: {last}: yields {_shown(row)}, which is no Instance")
        if fault := _fault(row):
            raise UserError(f"{plugin.where}: {last}: yields an instance whose {fault}")
        check(row, plugin.where)
        yield row
        last = f"after instance {row.id!r}"


def run_method(
    plugin: Plugin, instance: Instance, evidence: Mapping[str, Any] | None, options: Mapping[str, Any]
) -> list[float]:
    """One score per word of ``instance``.

    Raises ``UserError`` naming the plugin and the instance for an exception inside it, or unless it returns as many
    finite numbers as there are words.
    """
    about = f"instance {instance.id!r}"
    found = _called(plugin, about, lambda: list(plugin.function(instance, evidence, dict(options))))
    if len(found) != len(instance.words):
        raise UserError(f"{plugin.where}: {about}: returns {len(found)} scores for {len(instance.words)} words")
    return [_number(value, f"{plugin.where}: {about}: word {index}") for index, value in enumerate(found)]


def run_metric(plugin: Plugin, selected: Sequence[bool], gold: Sequence[bool], identifier: str) -> float:
    """The value of a metric for the instance with this id.

    Raises ``UserError`` naming the plugin and the instance for an exception inside it or unless it is a finite number.
    """
    about = f"instance {identifier!r}"
    value = _called(plugin, about, lambda: plugin.function(list(selected), list(gold)))
    return _number(value, f"{plugin.where}: {about}")


def _called(plugin: Plugin, about: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except UserError as error:  # the plugin's own message about its data
        raise UserError(f"{plugin.where}: {error}") from None
    except Exception as error:
        raise UserError(f"{plugin.where}: {about}: {_told(error, plugin.path)}") from None


def _number(value: Any, where: str) -> float:
    """``value`` as a number that fits the tables, which hold float32."""
    try:
        if isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value):
            struct.pack("<f", value)
            return float(value)
    except OverflowError:
        pass
    raise UserError(f"{where}: returns {_shown(value)}, which is no finite number")


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{text if len(text) <= 80 else text[:77] + '...'} ({type(value).__name__})"


def _fault(row: Instance) -> str | None:
    """What of ``row`` has the wrong type; whether words and masks fit its texts is checked elsewhere."""
    for name, value in (("id", row.id), ("label", row.label)):
        if not isinstance(value, str) or not value:
            return f"{name} is {_shown(value)}, not a text"
    for name, optional in (("foil", row.foil), ("group", row.group)):
        if optional is not None and not isinstance(optional, str):
            return f"{name} is {_shown(optional)}, not a text"
    texts = row.fields
    if not isinstance(texts, Mapping) or not all(isinstance(text, str) for pair in texts.items() for text in pair):
        return "fields are no mapping of names to texts"
    if not _all(row.words, Word):
        return "words are no tuple of Word"
    if row.annotators is not None and not _all(row.annotators, tuple):
        return "annotators are no tuple of masks"
    if not all(mask is None or _all(mask, bool) for mask in (row.rationale, *(row.annotators or ()))):
        return "masks are no tuples of bool"
    return None


def _all(values: Any, kind: type) -> bool:
    return isinstance(values, tuple) and all(isinstance(value, kind) for value in values)
