"""What is wrong with a configuration, in words: for each fault that the types find its path and what would be right.

Pydantic tells a fault by the types it tried; a person knows the keys of the file only.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from rationale_eval.config import (
    Claims,
    Compute,
    Config,
    Faithfulness,
    Finetuning,
    Interval,
    Margins,
    Perturbation,
    Study,
    Task,
    Validity,
)
from rationale_eval.config_apis import API_ADDRESS, VARIABLE, ApiBudget, ApiLimits, ApiModel, ApiSource, Price
from rationale_eval.config_corpora import (
    ADDRESS,
    FILE_NAME,
    FORMATS,
    HUB_NAME,
    NAME,
    PATH,
    SHA256,
    SOURCES,
    GgufInPackage,
    HubData,
    LocalPath,
    MarkedWords,
    PackageFile,
    PluginCorpus,
    Strict,
    Url,
)
from rationale_eval.config_methods import CELL_PATH, METHODS, Matched, PluginMethod, TopK, TopRatio, TopVar
from rationale_eval.config_models import HubModel, LocalModel, Model

PATTERNS = {
    NAME: "a name of up to 64 letters, digits, '_', '.' and '-' that begins with a letter or digit",
    FILE_NAME: "the name of a file without folders",
    SHA256: "a SHA-256: 64 hexadecimal digits in lower case",
    ADDRESS: "an address http://… or https://… without spaces, user name and password",
    HUB_NAME: "owner/name as on the hub",
    PATH: "a path without braces, which Snakemake takes for wildcards",
    CELL_PATH: "a path whose only braces are {corpus}, {model} and {checkpoint}",
    API_ADDRESS: "an address http://… or https://… without spaces, user name, password and query",
    VARIABLE: "the name of an environment variable in capitals, not what it holds",
}
SECRET = (ADDRESS, API_ADDRESS, VARIABLE)  # what stands there by mistake may be a password or a key
# The key that says which type an entry has, and the types that are the package's own; all others are a plugin's.
KINDS: dict[int | str, tuple[str, Mapping[str, type[Strict]]]] = {
    "corpora": ("format", FORMATS),
    "methods": ("kind", METHODS),
}
BUDGETS: dict[int | str, type[Strict]] = {"top_var": TopVar, "top_ratio": TopRatio, "top_k": TopK, "matched": Matched}
OF_PLUGINS = ("(plugin)", f"({PluginMethod.__name__})")

Loc = tuple[int | str, ...]


def lines(error: ValidationError, raw: Mapping[str, Any]) -> list[str]:
    """A line for each fault that ``error`` tells of the configuration ``raw``, none twice."""
    faults = error.errors(include_url=False)
    # A misspelt key is also missing under its right name: one fault, one line.
    misspelt = [fault["loc"] for fault in faults if fault["type"] == "extra_forbidden"]
    meant = {(*loc[:-1], close) for loc in misspelt if (close := _close(str(loc[-1]), _allowed(loc[:-1])))}
    told = [
        fault
        for fault in faults
        if not (fault["type"] == "missing" and fault["loc"] in meant)
        # Which keys an entry may have is not known where its kind is not said: that is the fault.
        and not (fault["type"] == "extra_forbidden" and _of_plugin(fault["loc"]) and _kind(fault["loc"], raw) is None)
    ]
    return list(dict.fromkeys(_line(fault, raw) for fault in told))


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """How a message about an unknown name goes on: with the known name that is most like it, or else with all."""
    known = list(known)
    if close := _close(wrong, known):
        return f"; did you mean {close!r}?"
    return f"; known are {', '.join(known)}" if known else ""


def _close(wrong: str, known: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(wrong, list(known), n=1)), None)


def _line(fault: ErrorDetails, raw: Mapping[str, Any]) -> str:
    loc, kind, value, context = fault["loc"], fault["type"], fault["input"], fault.get("ctx", {})
    path = _path(loc)
    if kind == "extra_forbidden":
        return _unknown_key(loc, raw)
    if kind == "missing":
        return f"{path}: is missing"
    if kind == "model_type" or (kind.startswith("union_tag") and not isinstance(value, Mapping)):
        return f"{path}: must be a section with keys of its own (it is {value!r})"
    if kind.startswith("union_tag"):
        return _unknown_kind(loc, value)
    if kind == "string_type" and isinstance(value, bool):
        what = f"{_path(loc[:-2])}: a key" if loc[-1] == "[key]" else f"{path}:"
        meant = "yes and on" if value else "no and off"
        return f"{what} is {str(value).lower()}, which is what YAML reads {meant} as; put the word in quotes"
    if kind == "value_error":
        return f"{path}: {context['error']}"
    if kind == "string_pattern_mismatch":
        found = "" if context["pattern"] in SECRET else f" (it is {value!r})"
        return f"{path}: must be {PATTERNS[context['pattern']]}{found}"
    found = "" if isinstance(value, dict | list) else f" (it is {value!r})"
    return f"{path}: {fault['msg'][0].lower()}{fault['msg'][1:].removesuffix(' after validation, not 0')}{found}"


def _path(loc: Loc) -> str:
    """The keys to a fault as a person would write them."""
    keys = list(loc)
    # Pydantic adds the branch of a union that it took to the path; in the file there is no such key.
    if len(keys) > 2 and keys[0] == "budgets":
        del keys[2]
    shown = [key for key in keys if not (isinstance(key, str) and (key.startswith("(") or key == "[key]"))]
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in shown).lstrip(".")


def _of_plugin(loc: Loc) -> bool:
    """Whether ``loc`` is a key of an entry that the package itself has no type for."""
    return len(loc) == 4 and loc[2] in OF_PLUGINS


def _kind(loc: Loc, raw: Mapping[str, Any]) -> str | None:
    """The format or kind that the entry of ``loc`` names; None if it names none."""
    kind = raw[str(loc[0])][loc[1]].get(KINDS[loc[0]][0])
    return kind if isinstance(kind, str) else None


def _unknown_key(loc: Loc, raw: Mapping[str, Any]) -> str:
    key = str(loc[-1])
    if _of_plugin(loc):
        # What the package does not know may be a plugin's, or a misspelt name of its own, whose keys it then has.
        decides, own = KINDS[loc[0]]
        named = str(_kind(loc, raw))
        close = _close(named, own)
        if close is not None and key in own[close].model_fields:
            return f"{_path(loc[:2])}.{decides}: {named!r} is not known; did you mean {close!r}?"
        if _close(key, _allowed(loc[:-1])) is None:
            return f"{_path(loc)}: unknown key; what {named!r} of a plugin is told stands under `options`"
    section = str(loc[-2]) if len(loc) > 1 else ""
    if key in SOURCES and section in [f"({kind})" for kind in SOURCES]:
        return f"{_path(loc)}: is a second source beside `{section[1:-1]}`; give one"
    return f"{_path(loc)}: unknown key{suggestion(key, _allowed(loc[:-1]))}"


def _unknown_kind(loc: Loc, value: Mapping[str, Any]) -> str:
    """The line about a budget or a source that is of no kind there is."""
    path = _path(loc)
    if loc[0] == "budgets":
        kind = value.get("kind")
        return f"{path}.kind: " + (
            "is missing" if kind is None else f"{kind!r} is not known{suggestion(str(kind), map(str, BUDGETS))}"
        )
    known = [*(kind for kind in SOURCES if loc[0] == "corpora" or kind != "url")]
    known += ["api"] if loc[0] == "models" else []
    for key in value:
        if close := _close(str(key), known):
            return f"{path}.{key}: unknown key; did you mean {close!r}?"
    return f"{path}: must have one of the keys {', '.join(known)}"


def _allowed(loc: Loc) -> list[str]:
    """The keys that a section may have; ``loc`` is the path to it as pydantic tells it, branches included."""
    if not loc:
        return list(Config.model_fields)
    branches: dict[int | str, type[Strict]] = {f"({name})": entry for name, entry in FORMATS.items()}
    methods: list[type[Strict]] = [*METHODS.values(), PluginMethod]
    branches |= {f"({entry.__name__})": entry for entry in methods}
    branches |= {"(plugin)": PluginCorpus, "rationale": MarkedWords, "(url)": Url}
    branches |= BUDGETS
    of_models = loc[0] == "models"
    branches["(path)"] = LocalModel if of_models else LocalPath
    branches["(hub)"] = HubModel if of_models else HubData
    branches["(package)"] = GgufInPackage if of_models else PackageFile
    if of_models and "(api)" in loc:
        parts: dict[str, type[Strict]] = {"source": ApiSource, "limits": ApiLimits, "price": Price, "budget": ApiBudget}
        return list(parts.get(str(loc[-1]), ApiModel).model_fields)
    sections: dict[int | str, type[Strict]] = {
        "models": Model,
        "tasks": Task,
        "finetuning": Finetuning,
        "perturbation": Perturbation,
        "operators": Perturbation,
        "faithfulness": Faithfulness,
        "interval": Interval,
        "validity": Validity,
        "claims": Margins if len(loc) > 1 else Claims,
        "compute": Compute,
        "study": Study,
    }
    return list(((branches.get(loc[-1]) if len(loc) > 2 else None) or sections[loc[0]]).model_fields)
