"""Code digests: they follow the code, not its comments, and the lists of modules are true."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest
from rationale_eval import __main__ as cli
from rationale_eval import code_digest
from rationale_eval.code_digest import code_of, memo_code, stage_code
from rationale_eval.corpora import stage as corpus_stage
from rationale_eval.stage_modules import MEMO, READERS, STAGES, UNTRACKED

PACKAGE = code_digest.PACKAGE


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package whose files may be edited; digests are taken of it."""
    copy = tmp_path / "rationale_eval"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code_digest, "PACKAGE", copy)
    code_digest._module.cache_clear()
    yield copy
    code_digest._module.cache_clear()


def digests():
    code_digest._module.cache_clear()
    return {stage: stage_code(stage) for stage in STAGES} | {f"memo {stage}": memo_code(stage) for stage in MEMO}


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


def test_all_listed_modules_exist():
    listed = {name for modules in (*STAGES.values(), *MEMO.values()) for name in modules}
    missing = {name for name in listed | UNTRACKED if not (PACKAGE / f"{name}.py").is_file()}
    assert missing == set()


def test_what_the_memo_depends_on_is_part_of_the_stage():
    for stage, modules in MEMO.items():
        assert set(modules) < set(STAGES[stage])


def imported(name: str) -> set[str]:
    """The package's modules that module ``name`` imports, as paths without suffix; functions' own imports included."""
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "rationale_eval":
            base = "/".join((node.module or "").split(".")[1:])
            for alias in node.names:
                within = f"{base}/{alias.name}".strip("/")
                found.add(within if (PACKAGE / f"{within}.py").is_file() else base)
        elif isinstance(node, ast.Import):
            found |= {
                "/".join(alias.name.split(".")[1:]) for alias in node.names if alias.name.startswith("rationale_eval.")
            }
    return found - {""}


@pytest.mark.parametrize("stage", sorted(set(STAGES) & set(cli.STAGES)))
def test_the_list_of_a_stage_is_what_its_module_imports_directly_and_indirectly(stage):
    reached, waiting = set(), {cli.STAGES[stage][0].replace(".", "/")}
    while waiting:
        name = waiting.pop()
        reached.add(name)
        if name not in UNTRACKED:
            waiting |= imported(name) - reached
    # Importing a module also runs its packages' __init__.py; those must stay empty of code.
    lazily = {"plugins"} if stage == "corpus" else set()  # for a format of theirs alone
    assert {name for name in reached if name not in UNTRACKED} - lazily == set(STAGES[stage])


@pytest.mark.parametrize("reader", sorted(READERS))
def test_the_list_of_a_format_is_what_its_module_imports_besides_the_stage(reader):
    reached, waiting = set(), {f"corpora/{reader}"}
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting |= imported(name) - reached
    assert {name for name in reached if name not in UNTRACKED} - set(STAGES["corpus"]) == set(READERS[reader])


ALL_FORMATS = {"rated_snippets", "planted", "esnli", "eraser", "medical_bios", "table"}


def test_the_formats_with_a_digest_are_those_of_the_stage():
    assert set(READERS) == set(corpus_stage.READERS) == ALL_FORMATS


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
        code_digest._module.cache_clear()
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
