"""Code digests: they follow the code, not its comments nor its place, and reach all that a stage imports."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest
from rationale_eval import __main__ as cli
from rationale_eval import code_digest
from rationale_eval.code_digest import (
    MEMO_ROOTS,
    UNTRACKED,
    code_of,
    memo_code,
    memo_modules_of,
    modules_of,
    stage_code,
)
from rationale_eval.corpora import stage as corpus_stage
from rationale_eval.stages import STAGES

PACKAGE = code_digest.PACKAGE
READERS = corpus_stage.READERS
TOOLS = {"estimate", "check", "schema"}  # for people: no table depends on them
OF_RULES = sorted(set(STAGES) - TOOLS)


def forget():
    code_digest._module.cache_clear()
    code_digest._digest.cache_clear()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package whose files may be edited; digests are taken of it."""
    copy = tmp_path / "rationale_eval"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code_digest, "PACKAGE", copy)
    forget()
    yield copy
    forget()


def digests():
    forget()
    return {stage: stage_code(stage) for stage in OF_RULES} | {
        f"memo {stage}": memo_code(stage) for stage in MEMO_ROOTS
    }


def changed(before):
    return {name for name, digest in digests().items() if digest != before[name]}


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_comments_docstrings_and_layout_change_no_digest(package):
    before = digests()
    path = package / "rationales" / "aggregation.py"
    edit(path, '"""From tokens to words.', '"""Other words.')
    edit(path, '    """One score per word', '    # a remark\n    """Otherwise put: one score per word')
    edit(path, "\n\n\n", "\n\n\n\n# spaced out\n\n")
    assert changed(before) == set()


def test_taking_a_docstring_away_changes_no_digest(package):
    before = digests()
    path = package / "progress.py"
    other = package / "memo.py"
    edit(other, '    """SHA-256 of the canonical JSON of ``value`` (sorted keys, no spaces)."""\n', "")
    edit(path, '"""Progress lines', '"""Lines')
    assert changed(before) == set()


@pytest.mark.parametrize(
    ("module", "old", "new", "expected"),
    [
        ("rationales/aggregation", '== "max"', '== "min"', {"rationale"}),
        ("evidence/measure", "dim=-1", "dim=-2", {"evidence", "attributions", "memo evidence", "memo attributions"}),
        (
            "faithfulness/masking",
            'operator == "replace"',
            'operator != "replace"',
            {"perturb", "perturb_api", "attributions"},
        ),
        (
            "models/scoring",
            "log_softmax(-1)",
            "softmax(-1)",
            {
                "finetune",
                "evidence",
                "attributions",
                "memo attributions",
                "replies",
                "perturb",
                "memo evidence",
                "memo replies",
                "memo perturb",
            },
        ),
        ("faithfulness/measures", "chance < LEAST_RANGE", "chance <= LEAST_RANGE", {"faithfulness"}),
        ("faithfulness/curve_stage", "len(scores) < 2", "len(scores) < 3", {"curves"}),
        ("faithfulness/inputs", "0 < count < words", "0 < count <= words", {"perturb", "perturb_api"}),
        ("corpora/stage", "< test_share", "<= test_share", {"corpus"}),
        ("models/prepare", '"config.json"', '"other.json"', {"model"}),
        ("fetch", "--no-input", "--input", {"fetch"}),
    ],
)
def test_an_edit_changes_the_stages_that_use_the_module_and_no_others(package, module, old, new, expected):
    before = digests()
    edit(package / f"{module}.py", old, new)
    assert changed(before) == expected


@pytest.mark.parametrize(
    "around",
    [
        "if True:\n    {}",
        "try:\n    pass\nexcept OSError:\n    {}",
        "match 0:\n    case _:\n        {}",
        "class C:\n    {}",
        "async def g():\n    {}",
    ],
)
def test_a_docstring_is_none_wherever_its_function_stands(around):
    docstring, text = (f"def f(): {words!r}; return 0" for words in ("some words", "other words"))
    assert code_of(ast.parse(around.format(docstring))) == code_of(ast.parse(around.format(text)))
    value, other = (f"x = {words!r}" for words in ("some words", "other words"))
    assert code_of(ast.parse(around.format(value))) != code_of(ast.parse(around.format(other)))


def test_a_text_that_is_not_a_docstring_is_code(package):
    before = digests()
    edit(package / "models" / "chat.py", '"qzxjkvQZXJKV"', '"qzxjkvQZXJKW"')
    assert "evidence" in changed(before)


def test_all_modules_that_are_named_exist():
    named = (
        UNTRACKED
        | code_digest.STORING
        | code_digest.PLUGINS
        | {root for roots in MEMO_ROOTS.values() for root in roots}
    )
    assert {name for name in named if not (PACKAGE / f"{name}.py").is_file()} == set()


def test_what_the_memo_depends_on_is_part_of_the_stage():
    for stage in MEMO_ROOTS:
        assert memo_modules_of(stage) < modules_of(stage)


def test_an_import_inside_a_function_counts(package):
    before = digests()
    edit(
        package / "plugins.py", "from __future__ import annotations", "from __future__ import annotations\n\nEDITED = 1"
    )
    assert "corpus" in changed(before)  # of a plugin's format, which is loaded in a function


def move(package: Path, module: str, target: str) -> None:
    """Move a module of the package, and mend all imports of it, as a person would."""
    old, new = (f"rationale_eval.{name}".replace("/", ".") for name in (module, target))
    (package / f"{target}.py").parent.mkdir(exist_ok=True)
    (package / f"{module}.py").rename(package / f"{target}.py")
    (parent, name), (new_parent, new_name) = old.rsplit(".", 1), new.rsplit(".", 1)
    for path in package.rglob("*.py"):
        lines = path.read_text(encoding="utf-8").replace(f"from {old} import", f"from {new} import").splitlines()
        lines = [
            f"{line[: len(line) - len(line.lstrip())]}from {new_parent} import {new_name}"
            if line.strip() == f"from {parent} import {name}"
            else line
            for line in lines
        ]
        path.write_text("\n".join(sorted_imports(lines)) + "\n", encoding="utf-8")


def sorted_imports(lines: list[str]) -> list[str]:
    """The same lines with each run of imports of the package in the order of the modules' names."""
    found: list[str] = []
    run: list[str] = []
    for line in lines:
        if line.startswith("from rationale_eval") and not line.endswith("("):
            run.append(line)
        else:
            found += [*sorted(run), line]
            run = []
    return found + sorted(run)


@pytest.mark.parametrize(
    ("module", "target"),
    [
        ("faithfulness/masking", "core/masking"),
        ("models/task", "models/prompts/task"),
        ("tables", "core/tables"),
        ("alignment", "aligning/alignment"),
        ("report/wording", "results/wording"),
    ],
)
def test_a_moved_module_changes_no_digest(package, monkeypatch, module, target):
    before = digests()
    (package / target).parent.mkdir(parents=True, exist_ok=True)
    move(package, module, target)
    assert all(f"from rationale_eval.{module.replace('/', '.')} " not in p.read_text() for p in package.rglob("*.py"))
    monkeypatch.setattr(
        code_digest, "STORING", frozenset({target if name == module else name for name in code_digest.STORING})
    )
    place = {
        stage: (target.replace("/", ".") if root == module.replace("/", ".") else root, text)
        for stage, (root, text) in STAGES.items()
    }
    monkeypatch.setattr(code_digest, "STAGES", place)
    assert changed(before) == set()


def test_the_package_is_imported_in_the_one_way_that_the_digest_sees():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not [alias for alias in node.names if alias.name.split(".")[0] == PACKAGE.name], path
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, path
                assert "*" not in {alias.name for alias in node.names}, path


def test_the_imports_of_the_package_have_no_circle_below_the_stages():
    """A digest is made of digests."""
    for stage in OF_RULES:
        assert stage_code(stage)
    for reader in READERS:
        assert stage_code("corpus", reader)


ALL_FORMATS = {"rated_snippets", "planted", "esnli", "eraser", "medical_bios", "table"}


def test_the_formats_with_a_digest_are_those_of_the_stage():
    assert set(READERS) == ALL_FORMATS


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        *((f"corpora/{name}", {name}) for name in sorted(ALL_FORMATS)),
        ("corpora/treebank", {"eraser"}),
        ("corpora/marks", {"table"}),
        ("corpora/aggregate", {"esnli", "table"}),
        ("corpora/rows", ALL_FORMATS - {"rated_snippets", "planted"}),
        ("corpora/archive", ALL_FORMATS),
        ("corpora/containers", ALL_FORMATS),
        ("corpora/stage", ALL_FORMATS),
        ("models/task", set()),
    ],
)
def test_an_edit_of_a_reader_re_reads_the_corpora_of_its_formats_and_no_others(package, module, expected):
    def reading():
        forget()
        return {name: stage_code("corpus", name) for name in READERS}

    before = reading()
    with (package / f"{module}.py").open("a", encoding="utf-8") as file:
        file.write("\nEDITED = True\n")
    assert {name for name, digest in reading().items() if digest != before[name]} == expected


def test_formats_have_digests_of_their_own_and_a_plugins_corpus_that_of_the_stage():
    digests = {stage_code("corpus", name) for name in READERS}
    assert len(digests) == len(READERS)
    assert stage_code("corpus") not in digests


def test_package_files_hold_no_code():
    for path in PACKAGE.rglob("__init__.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body), path


@pytest.mark.parametrize(
    "stage", ["fetch", "corpus", "corpus_card", "rationale", "alignment", "faithfulness", "curves", "merge"]
)
def test_light_stages_import_neither_torch_nor_transformers(stage):
    import subprocess
    import sys

    module = f"rationale_eval.{cli.STAGES[stage][0]}"
    script = f"import sys, {module}; print(sorted({{'torch', 'transformers', 'pandas'}} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
