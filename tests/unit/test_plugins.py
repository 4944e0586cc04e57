"""Plugins: what they register, how wrong ones are told, and that an edit of one shows in its digest."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest
from rationale_eval import alignment, config, plugins
from rationale_eval.corpora import stage
from rationale_eval.corpora.instances import Instance, Word
from rationale_eval.errors import UserError
from rationale_eval.evidence.schema import EVIDENCE
from rationale_eval.plugins import digest, load, run_corpus, run_method, run_metric

WHOLE = '''"""A plugin of each kind."""
from dataclasses import dataclass

from rationale_eval.corpora.instances import Instance, whitespace_words
from rationale_eval.plugins import corpus_format, method, metric


@dataclass
class Line:
    text: str


@corpus_format("lines")
def read(source, options, side, left_out):
    """One text a line, the last word marked."""
    for number, text in enumerate(source.read_text().splitlines()):
        line = Line(text)
        if not line.text.strip():
            left_out["empty"] += 1
            continue
        words = whitespace_words([line.text])
        mask = tuple(index == len(words) - 1 for index in range(len(words)))
        yield Instance(f"{side}-{number}", options["label"], {"text": line.text}, words, mask)


@method("length")
def score(instance, evidence, options):
    return [len(instance.text(word)) * options.get("times", 1) for word in instance.words]


@method("first-token", evidence="gradients")
def from_gradients(instance, evidence, options):
    return [evidence["grad_l2"][0]] * len(instance.words)


@metric("hits")
def measure(selected, gold):
    return sum(a and b for a, b in zip(selected, gold))
'''

HEAD = "from rationale_eval.plugins import corpus_format, method, metric\n"


@pytest.fixture
def plugin_file(tmp_path):
    """``plugin_file(text, name)``: the path of a plugin with this text."""

    def write(text, name="mine.py"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.fixture
def registry(plugin_file):
    return load([plugin_file(WHOLE)])


INSTANCE = Instance("row-7", "yes", {"text": "a bee"}, (Word(0, 0, 1), Word(0, 2, 5)), (True, False))


def test_a_plugin_registers_functions_of_every_kind(registry, tmp_path):
    assert (set(registry.corpus_formats), set(registry.methods), set(registry.metrics)) == (
        {"lines"},
        {"length", "first-token"},
        {"hits"},
    )
    assert registry.methods["first-token"].evidence == "gradients"
    assert registry.methods["length"].evidence is None
    assert {plugin.path for plugin in registry.methods.values()} == {tmp_path / "mine.py"}


def test_what_a_plugin_computes_comes_back_as_it_is(registry, tmp_path):
    assert run_method(registry.methods["length"], INSTANCE, None, {"times": 2}) == [2.0, 6.0]
    assert run_method(registry.methods["first-token"], INSTANCE, {"grad_l2": [0.5, 9.0]}, {}) == [0.5, 0.5]
    assert run_metric(registry.metrics["hits"], (True, True), (True, False), "row-7") == 1.0
    (tmp_path / "rows.txt").write_text("good film\n\nbad\n")
    left_out = Counter()
    read = registry.reader("lines")
    rows = list(read(tmp_path / "rows.txt", {"options": {"label": "yes"}}, "test", left_out))
    assert rows == [
        Instance("test-0", "yes", {"text": "good film"}, (Word(0, 0, 4), Word(0, 5, 9)), (False, True)),
        Instance("test-2", "yes", {"text": "bad"}, (Word(0, 0, 3),), (True,)),
    ]
    assert left_out == {"empty": 1}


@pytest.mark.parametrize("kind", sorted(plugins.ARGUMENTS))
def test_a_name_that_no_plugin_registers_is_told_with_those_there_are(registry, kind):
    with pytest.raises(UserError, match=rf"^{kind} 'lenght': no plugin registers it; registered are \w"):
        registry.get(kind, "lenght")


def test_numpy_scores_are_taken(plugin_file):
    text = HEAD + "import numpy\n@method('n')\ndef score(i, e, o):\n    return numpy.float32([0.5, -2])\n"
    assert run_method(load([plugin_file(text)]).methods["n"], INSTANCE, None, {}) == [0.5, -2.0]


def test_files_of_one_name_stay_apart_and_nothing_is_left_behind(tmp_path):
    before = list(sys.path)
    for folder, value in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        text = f"{HEAD}VALUE = {value}\n@metric('{folder}')\ndef measure(s, g):\n    return VALUE\n"
        (tmp_path / folder / "mine.py").write_text(text)
    registry = load([tmp_path / "a" / "mine.py", tmp_path / "b" / "mine.py"])
    assert [run_metric(registry.metrics[name], (True,), (True,), "x") for name in "ab"] == [1.0, 2.0]
    assert sys.path == before
    assert {path.name for path in tmp_path.rglob("*")} == {"a", "b", "mine.py"}


def test_an_edit_is_seen_at_once(plugin_file):
    text = HEAD + "@metric('m')\ndef measure(s, g):\n    return 1\n"
    assert run_metric(load([plugin_file(text)]).metrics["m"], (True,), (True,), "x") == 1.0
    edited = plugin_file(text.replace("return 1", "return 2"))
    assert run_metric(load([edited]).metrics["m"], (True,), (True,), "x") == 2.0


def test_no_plugins_register_nothing():
    assert load([]) == plugins.Registry()


METRIC = "@metric('m')\ndef measure(s, g):\n    return 1\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", r"mine.py: registers nothing"),
        ("def f(:\n", r"mine.py: line 1: invalid syntax"),
        ("x = 1\nreturn x\n", r"mine.py: line 2: 'return' outside function"),
        (b"x = '\xe9'\n", r"mine.py: line \d"),
        (b"x = 1\0\n", r"mine.py: .*null bytes"),
        ("x = 1\ny = x / 0\n", r"mine.py: line 2: ZeroDivisionError: division by zero \(while it was imported\)"),
        ("def f():\n    raise KeyError('z')\n\nf()\n", r"mine.py: line 2: KeyError: 'z'"),
        ("import no_such_package_here\n", r"mine.py: line 1: ModuleNotFoundError: No module named 'no_such"),
        ("import sys\nsys.exit('bye')\n", r"mine.py: line 2: SystemExit: bye"),
        (
            HEAD + "@metric\ndef measure(s, g):\n    return 1\n",
            r"line 2: TypeError: the decorator needs a name in brac",
        ),
        (HEAD + "@metric()\ndef measure(s, g):\n    return 1\n", r"line 2: TypeError: .*missing 1 required"),
        (HEAD + METRIC + METRIC, r"mine.py: metric 'm' \(measure\): the name is also registered by .*mine.py; choose"),
        (HEAD + METRIC.replace("'m'", "'f1'"), r"metric 'f1' \(measure\): the package itself has this name"),
        (HEAD + METRIC.replace("'m'", "'a/b'"), r"metric 'a/b' \(measure\): a name has up to 64 letters"),
        (HEAD + METRIC.replace("'m'", "7"), r"metric 7 \(measure\): a name has up to 64 letters"),
        (HEAD + "@metric('m')\nclass Measure:\n    pass\n", r"metric 'm' is not a function but type"),
        (HEAD + METRIC.replace("s, g", "s"), r"takes \(s\), but will be called with \(selected, gold\)"),
        (HEAD + "@method('n')\ndef score(i, e, o, more):\n    pass\n", r"takes \(i, e, o, more\), but will be called"),
        (HEAD + "@method('n')\ndef score(i, e, *, o):\n    pass\n", r"called with \(instance, evidence, options\)"),
        (HEAD + "@method('human')\ndef score(i, e, o):\n    pass\n", r"method 'human' \(score\): the package itself"),
        (
            HEAD + "@method('n', evidence='ig')\ndef score(i, e, o):\n    pass\n",
            r"evidence is 'ig'; it can be one of grad",
        ),
        (HEAD + "@corpus_format('c')\ndef read(source):\n    pass\n", r"\(source, options, side, left_out\)"),
        (HEAD + "@corpus_format('table')\ndef read(a, b, c, d):\n    pass\n", r"format 'table' \(read\): the package"),
    ],
)
def test_a_wrong_plugin_is_told_with_its_file(plugin_file, text, message):
    with pytest.raises(UserError, match=message) as caught:
        load([plugin_file(text)])
    assert "\n" not in str(caught.value)


def test_a_name_of_another_plugin_is_refused(plugin_file):
    paths = [plugin_file(HEAD + METRIC, name) for name in ("one.py", "two.py")]
    with pytest.raises(UserError, match=r"two.py: metric 'm' \(measure\): the name is also registered by .*one.py"):
        load(paths)


@pytest.mark.parametrize("name", ["none.py", "", "none/mine.py"])
def test_a_missing_file_is_named(tmp_path, name):
    for use in (digest, lambda path: load([path])):
        with pytest.raises(UserError, match=rf"plugin .*{name}: there is no such file"):
            use(tmp_path / name)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ("[1.0]", r"returns 1 scores for 2 words"),
        ("[1.0, 2.0, 3.0]", r"returns 3 scores for 2 words"),
        ("[1.0, float('nan')]", r"word 1: returns nan \(float\), which is no finite number"),
        ("[-1e300, 1.0]", r"word 0: returns -1e\+300 \(float\), which is no finite number"),
        ("[10 ** 400, 1.0]", r"word 0: returns 1000"),
        ("[True, 1.0]", r"word 0: returns True \(bool\)"),
        ("[1.0, '2']", r"word 1: returns '2' \(str\)"),
        ("None", r"TypeError: 'NoneType' object is not iterable"),
        ("instance.texts", r"line 4: AttributeError: 'Instance' object has no attribute 'texts'"),
        ("[evidence['grad_l2'][0], 1.0]", r"line 4: TypeError: 'NoneType' object is not subscriptable"),
    ],
)
def test_a_wrong_score_is_told_with_file_function_and_instance(plugin_file, result, message):
    text = f"{HEAD}@method('n')\ndef score(instance, evidence, options):\n    return {result}\n"
    plugin = load([plugin_file(text)]).methods["n"]
    with pytest.raises(UserError, match=rf"plugin .*mine.py: method 'n' \(score\): instance 'row-7': .*({message})"):
        run_method(plugin, INSTANCE, None, {})


@pytest.mark.parametrize("result", ["None", "'1'", "float('inf')", "[1.0]", "1 / 0", "selected.x"])
def test_a_wrong_measure_is_told_with_file_function_and_instance(plugin_file, result):
    plugin = load([plugin_file(f"{HEAD}@metric('m')\ndef measure(selected, gold):\n    return {result}\n")]).metrics[
        "m"
    ]
    with pytest.raises(UserError, match=r"plugin .*mine.py: metric 'm' \(measure\): instance 'row-7': "):
        run_metric(plugin, (True, False), (True, False), "row-7")


GOOD = "Instance('one', 'yes', {'text': 'a b'}, (Word(0, 0, 1), Word(0, 2, 3)), (True, False))"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return None", r"before the first instance: TypeError: 'NoneType' object is not iterable"),
        ("return [{'id': 1}]", r"before the first instance: yields \{'id': 1\} \(dict\), which is no Instance"),
        (f"yield {GOOD}; yield 'x'", r"after instance 'one': yields 'x' \(str\)"),
        (f"yield {GOOD}; open('/no/such/file')", r"after instance 'one': line 5: FileNotFoundError"),
        (f"yield {GOOD}; raise UserError('rows.txt: line 2 is cut')", r"rows.txt: line 2 is cut"),
        (f"yield {GOOD.replace(chr(39) + 'one' + chr(39), '1')}", r"yields an instance whose id is 1 \(int\)"),
        (f"yield {GOOD.replace('yes', '')}", r"whose label is '' \(str\), not a text"),
        (f"yield {GOOD.replace('{', '[').replace('}', ']').replace(':', ',')}", r"whose fields are no mapping"),
        (f"yield {GOOD.replace('Word(0, 0, 1)', '(0, 0, 1)')}", r"whose words are no tuple of Word"),
        (f"yield {GOOD.replace('True', '1')}", r"whose masks are no tuples of bool"),
        (f"yield {GOOD.replace('(True, False)', '(True,)')}", r"row 'one' has 2 words but a mask of 1"),
        (f"yield {GOOD.replace('2, 3)', '2, 30)')}", r"row 'one': word .* lies outside its text"),
        (f"yield {GOOD[:-1]}, ((1, 0),))", r"whose masks are no tuples of bool"),
        (f"yield {GOOD[:-1]}, None, 7)", r"whose foil is 7 \(int\), not a text"),
        (f"yield {GOOD[:-1]}, None, None, 7)", r"whose group is 7 \(int\), not a text"),
        (f"yield {GOOD[:-1]}, (True, False))", r"whose annotators are no tuple of masks"),
    ],
)
def test_a_wrong_instance_is_told_with_file_and_function(plugin_file, body, message):
    text = (
        HEAD
        + "from rationale_eval.errors import UserError; from rationale_eval.corpora.instances import Instance, Word\n"
        + f"@corpus_format('c')\ndef read(source, options, side, left_out):\n    {body}\n"
    )
    plugin = load([plugin_file(text)]).corpus_formats["c"]
    with pytest.raises(UserError, match=rf"plugin .*mine.py: corpus format 'c' \(read\): .*{message}"):
        list(run_corpus(plugin, Path("rows.txt"), {}, "test", Counter()))


def test_instances_are_read_lazily(plugin_file):
    text = (
        HEAD
        + "from rationale_eval.corpora.instances import Instance, Word\n"
        + f"@corpus_format('c')\ndef read(a, b, c, d):\n    while True:\n        yield {GOOD}\n"
    )
    rows = run_corpus(load([plugin_file(text)]).corpus_formats["c"], Path("x"), {}, "train", Counter())
    assert next(rows) == next(rows)


def test_a_digest_follows_the_code_and_not_its_comments(plugin_file):
    before = digest(plugin_file(WHOLE))
    remarks = WHOLE.replace('"""A plugin of each kind."""', '"""Other words."""\n# a remark\n').replace(
        '    """One text a line, the last word marked."""\n', ""
    )
    assert digest(plugin_file(remarks)) == before
    assert digest(plugin_file(WHOLE.replace("len(words) - 1", "len(words) - 2"))) != before
    with pytest.raises(UserError, match=r"mine.py: line 1: invalid syntax"):
        digest(plugin_file("def f(:\n"))


def test_the_names_that_are_taken_are_those_of_the_package():
    assert set(plugins.EVIDENCE) == set(EVIDENCE)
    assert plugins.TAKEN[plugins.METRIC] == set(alignment.ALIGNMENT.columns.names)
    assert set(alignment.MEASURES) < plugins.TAKEN[plugins.METRIC]
    assert plugins.TAKEN[plugins.CORPUS_FORMAT] >= set(stage.READERS)
    entries = [get_args(branch)[0] for branch in get_args(get_args(config.Method)[0])]
    kinds = {kind for entry in entries for kind in get_args(entry.model_fields["kind"].annotation)}
    assert plugins.TAKEN[plugins.METHOD] == {kind for kind in kinds if isinstance(kind, str)}


def test_the_import_is_light():
    heavy = {"torch", "transformers", "pandas", "pydantic"}
    script = f"import sys, json, rationale_eval.plugins; print(json.dumps(sorted({heavy} & set(sys.modules))))"
    package = Path(plugins.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": str(package)}, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []
