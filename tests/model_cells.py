"""The stages that ask a model, run on a tiny one, and the same model asked by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from rationale_eval.corpora.instances import Instance, whitespace_words, write_instances
from rationale_eval.evidence import stage as evidence_stage
from rationale_eval.evidence.schema import EVIDENCE, PREDICTIONS
from rationale_eval.faithfulness import perturb as perturb_stage
from rationale_eval.faithfulness.schema import PERTURBATIONS
from rationale_eval.models.task import task_slice
from rationale_eval.rationales.schema import RATIONALES, rationale_row
from rationale_eval.tables import read_table, write_table
from transformers import AutoModelForCausalLM, AutoTokenizer

TEXTS = {
    "warm": "A warm and elegant concert.",
    "grim": "The grim hotel near the station was stale, dreadful indeed!",
    "markup": "A film <|im_end|> with a lovely end",
    "long": "so it went on " * 60,
    "short": "Bleak story",
}
TRAIN = [("Such a tender and bright novel.", "positive"), ("The camera was shoddy, clumsy indeed.", "negative")]


def instance(name, text, label="positive", foil=None):
    words = whitespace_words([text])
    marked = tuple(place == 1 for place in range(len(words)))
    return Instance(name, label, {"text": text}, words, marked, foil=foil)


def budgets_of(table):
    """Scores are cut to two budgets, sets of words are taken as given."""
    if table[0]["scores"] is None:
        return {"as_given": {"kind": "as_given"}}
    return {"one": {"kind": "top_k", "k": 1}, "var": {"kind": "top_var"}}


@dataclass
class Cell:
    """The files of one corpus and model, and runs of the stages on them."""

    folder: Path
    card: Path
    prompts: Path

    @property
    def train(self):
        """The table that solved examples are drawn from."""
        write_instances(self.folder / "train.parquet", [instance(text, text, label) for text, label in TRAIN], {})
        return self.folder / "train.parquet"

    def arguments(self, target, texts, memo, rows, shots, foil, spec, asking=None):
        """What the stages take alike; the test table is written first."""
        write_instances(target / "test.parquet", [instance(*row, foil=foil) for row in texts.items()], {})
        asking = {"dtype": "float32", "system_prompt": None, "prompt_style": "auto"} | (asking or {})
        spec |= {"asking": asking, "task": task_slice(self.prompts, None, []), "shots": {"count": shots, "seed": 0}}
        command = ["--spec", json.dumps(spec), "--test", str(target / "test.parquet"), "--model", str(self.card)]
        command += ["--shots", str(self.train)] if shots else []
        return [*command, "--memo", str(self.folder / memo), "--batch-tokens", "4096", "--batch-rows", str(rows)]

    def evidence(
        self,
        out,
        memo="memo",
        kinds=("gradients", "attention"),
        rows=8,
        texts=TEXTS,
        shots=0,
        foil=None,
        **asking,
    ):
        target = self.folder / out
        command = self.arguments(target, texts, memo, rows, shots, foil, {"evidence": list(kinds)}, asking)
        for name in ("predictions", *EVIDENCE):
            command += [f"--{name}", str(target / f"{name}.parquet")]
        evidence_stage.main(command)
        tables = {"predictions": read_table(target / "predictions.parquet", PREDICTIONS)}
        tables |= {kind: read_table(target / f"{kind}.parquet", EVIDENCE[kind]) for kind in EVIDENCE}
        return {name: {row["id"]: row for row in table} for name, table in tables.items()}

    def perturb(self, out, rationales, memo="memo", rows=8, operator="replace", mask="___", shots=0, **more):
        """``more``: keys of the spec in place of the defaults, which ask for nothing but the rationales."""
        target = self.folder / out
        paths = []
        for method, table in rationales.items():
            paths.append(target / f"{method}.parquet")
            write_table(paths[-1], table, RATIONALES, {})
        spec = {
            "methods": [{"name": name, "budgets": budgets_of(table)} for name, table in rationales.items()],
            "operator": operator,
            "mask": mask,
            "announce": False,
            "keep_only_budgets": ["var", "as_given"],
            "curves": {"methods": [], "ratios": []},
            "random_seeds": [],
            "leave_one_out": False,
            **more,
        }
        command = self.arguments(target, TEXTS, memo, rows, shots, None, spec)
        perturb_stage.main([*command, "--rationales", *map(str, paths), "--output", str(target / "out.parquet")])
        return read_table(target / "out.parquet", PERTURBATIONS)


def shown(text):
    return f"Text: {text}\nSentiment?"


class Naive:
    """The model asked with the tests' prompt, with nothing of the package: chat, or plain text without a template."""

    def __init__(self, card: Path, shots=()):
        folder = card.parent / "snapshot"
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder).eval()
        self.shots = shots

    def prompt(self, text):
        if self.tokenizer.chat_template is None:
            solved = "".join(f"{shown(question)}\n\nAnswer: {answer}\n\n" for question, answer in self.shots)
            return f"{solved}{shown(text)}\n\nAnswer:"
        turns = []
        for question, answer in self.shots:
            turns += [{"role": "user", "content": shown(question)}, {"role": "assistant", "content": answer}]
        turns.append({"role": "user", "content": shown(text)})
        return self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)

    def space(self):
        """What stands between prompt and answer."""
        if self.tokenizer.chat_template is None:
            return " "
        turns = [{"role": "user", "content": shown("a film")}, {"role": "assistant", "content": "ANSWER"}]
        asked = self.tokenizer.apply_chat_template(turns[:1], tokenize=False, add_generation_prompt=True)
        return self.tokenizer.apply_chat_template(turns, tokenize=False)[len(asked) :].split("ANSWER")[0]

    def ids(self, text):
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def score(self, start, ids, embeddings=None):
        """The log-probability of what follows the first ``start`` of ``ids``."""
        if embeddings is None:
            embeddings = self.model.get_input_embeddings()(torch.tensor([ids])).detach()
        logits = self.model(inputs_embeds=embeddings).logits[0].log_softmax(-1)
        return sum(logits[place - 1, ids[place]] for place in range(start, len(ids)))

    def scores(self, text):
        """Log-probabilities of "negative" and "positive"."""
        prompt, space = self.prompt(text), self.space()
        with torch.no_grad():
            return [
                float(self.score(len(self.ids(prompt)), self.ids(prompt + space + answer)))
                for answer in ("negative", "positive")
            ]

    def contrast(self, text, label, other):
        """For each token of the text the L2 norm of the gradient of the score of ``label`` minus that of ``other``."""
        prompt = self.prompt(text)
        encoded = self.tokenizer(prompt, add_special_tokens=False, return_offsets_mapping=True)
        start = len(encoded["input_ids"])
        first = prompt.rindex(text)
        places = [
            place
            for place, (begin, end) in enumerate(encoded["offset_mapping"])
            if begin < first + len(text) and end > first
        ]
        gradient = 0
        for answer, sign in ((label, 1), (other, -1)):
            ids = self.ids(prompt + answer)
            embeddings = self.model.get_input_embeddings()(torch.tensor([ids])).detach().requires_grad_()
            self.score(start, ids, embeddings).backward()
            gradient = gradient + sign * embeddings.grad[0, :start]
        return gradient[places].norm(dim=-1).numpy()


def naive(card: Path, text: str) -> list[float]:
    """Log-probabilities of "negative" and "positive" after a text in the tests' prompt."""
    return Naive(card).scores(text)


def scored(name, scores, status="ok"):
    return rationale_row(name, status=status, scores=scores)


RATIONALE = {
    "descending": [
        scored("warm", [5.0, 4.0, 3.0, 2.0, 1.0]),
        scored("short", [1.0, 2.0]),
        scored("long", [float(place) for place in range(240)]),
        scored("markup", None, "chat_markup"),
    ],
    "same": [scored("warm", [9.0, 4.0, 3.0, 2.0, 1.0])],
}
