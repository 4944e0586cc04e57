"""Speed and memory of attribution, against captum and inseq on the same model, prompts and definitions.

    python benchmarks/attribution.py                           a tiny random model: seconds, for trying out the code
    python benchmarks/attribution.py --model FOLDER            safetensors with tokenizer, such as SmolLM2 in float32
    python benchmarks/attribution.py --model FOLDER --shots 4  behind four solved examples: gradients and attention
    python benchmarks/attribution.py --gpu-shape llama-3-8b    one GPU, a random model of that shape

captum and inseq are of envs/dev.txt. Each library works in a process of its own that has loaded the model; methods and
libraries take turns, and a repeat runs them all. Prompts are plain text, since inseq drops tokens such as <|im_end|>;
texts are made up. Ours is given all instances in one batch, as the pipeline does; the others take them one by one, as
their interfaces do, and but some of them for the methods that take many passes. The time that ours takes once per run,
for what all prompts begin with, is printed by itself. What is attributed is the log-probability of the predicted
label's one token:

    input_x_gradient      summed over dimensions                captum LayerGradientXActivation, inseq input_x_gradient
    saliency              L2 norm of the gradient               inseq saliency
    integrated_gradients  Gauss-Legendre, summed; the content   captum LayerIntegratedGradients (its wrapper for
                          alone moves from the padding token    language models gives values that do not add up);
                                                                inseq moves the whole prompt: not compared in value
    ablation              each word replaced by a mask          captum FeatureAblation
    attention             last layer, mean of heads             inseq attention

Disagreement is the largest difference at a content token (or word), relative to the largest value of its instance.
Peak memory is the highest resident set while a method runs beyond that before it. Beside the time on the clock stands
the processor time, which depends less on what else the machine does.

--gpu-shape is explained in gpu_shape.py.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "tests"), str(ROOT / "benchmarks")]
PROMPTS = ROOT / "workflow" / "prompts" / "sentiment.yaml"
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
MASK = "___"
# Which libraries know a method.
METHODS = {
    "input_x_gradient": ("ours", "captum", "inseq"),
    "saliency": ("ours", "inseq"),
    "integrated_gradients": ("ours", "captum", "inseq"),
    "ablation": ("ours", "captum"),
    "attention": ("ours", "inseq"),
}
SLOW = ("integrated_gradients", "ablation")
FEW_SHOT = ("input_x_gradient", "saliency", "attention")
OTHER_DEFINITION = {("integrated_gradients", "inseq")}


class Contestant:
    """The model and the prompts, the same for all; subclasses have a method for each name in ``METHODS``.

    Each gives one array per prompt, a value for each content token (for ``ablation``, for each word).
    """

    def __init__(self, args: argparse.Namespace) -> None:
        import tiny_models
        import torch
        from rationale_eval.models.encoding import PromptEncoder
        from rationale_eval.models.loading import LoadedModel
        from rationale_eval.models.task import load_task
        from transformers import AutoModelForCausalLM, AutoTokenizer

        attention = {"attn_implementation": "eager"} if args.library == "inseq" else {}
        model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32, **attention).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(args.model)
        self.model, self.args = model.requires_grad_(False), args
        self.loaded = LoadedModel(self.model, self.tokenizer, torch.device("cpu"), "float32", {"name": "", "files": {}})
        stream = tiny_models.sentences(seed=0)
        solved = [({"text": next(stream)[1]}, label) for label in ("positive", "negative") * (args.shots // 2)]
        self.encoder = PromptEncoder(self.tokenizer, load_task(PROMPTS), SYSTEM, "completion", solved)
        self.texts: list[str] = []
        self.prompts: list[Any] = []
        while len(self.texts) < args.instances:
            # Two sentences: with the instruction about 68 tokens of SmolLM2.
            text = f"{next(stream)[1]} {next(stream)[1]}"
            (prompt,) = self.encoder.encode([{"text": text}])
            if {len(ids) for ids in prompt.labels} != {1}:
                raise SystemExit("the labels must be one token each with this model's tokenizer")
            self.texts.append(text)
            self.prompts.append(prompt)
        with torch.inference_mode():
            rows = [self.model(torch.tensor([prompt.tokens])).logits[0, -1] for prompt in self.prompts]
        self.targets = [
            max((ids[0] for ids in prompt.labels), key=lambda token, row=row: float(row[token]))  # type: ignore[misc]
            for prompt, row in zip(self.prompts, rows, strict=True)
        ]

    def places(self, prompt: Any) -> list[int]:
        """The positions of the content's tokens."""
        return [token.position for token in prompt.content]

    def slices(self, method: str) -> range:
        """The instances that a method is given: of those that take many passes each, other libraries get fewer."""
        few = method in SLOW and self.args.library != "ours"
        return range(self.args.slow_instances if few else len(self.prompts))


class Ours(Contestant):
    """The package, as its stages call it."""

    def __init__(self, args: argparse.Namespace) -> None:
        super().__init__(args)
        from rationale_eval.evidence import attention
        from rationale_eval.evidence.targets import Question
        from rationale_eval.models.scoring import Prefix, shared_prefix

        attention.install(self.model)
        self.questions = [Question(prompt) for prompt in self.prompts]
        shared = shared_prefix(self.prompts, before_content=True)
        start = time.perf_counter()
        self.prefix = Prefix(self.loaded, shared)
        self.once = (len(shared), time.perf_counter() - start)

    def _measure(self, method: str, name: str) -> list[Any]:
        from rationale_eval.evidence.measure import measure

        attention = method == "attention"
        questions = [self.questions[index] for index in self.slices(method)]
        found = measure(self.loaded, self.prefix, questions, not attention, attention, of="log_probability")
        return [row[name] for row in found]

    def input_x_gradient(self) -> list[Any]:
        return self._measure("input_x_gradient", "gxi_dot")

    def saliency(self) -> list[Any]:
        return self._measure("saliency", "grad_l2")

    def attention(self) -> list[Any]:
        return self._measure("attention", "last")

    def integrated_gradients(self) -> list[Any]:
        from rationale_eval.evidence.integrated import baseline_embedding, integrate

        questions = [self.questions[index] for index in self.slices("integrated_gradients")]
        baseline = baseline_embedding(self.loaded, "pad")
        found = integrate(self.loaded, self.prefix, questions, self.args.steps, baseline, of="log_probability")
        return [row["ig_dot"] for row in found]

    def ablation(self) -> list[Any]:
        from rationale_eval.corpora.instances import whitespace_words
        from rationale_eval.evidence.attributions import word_scores
        from rationale_eval.faithfulness.masking import mask_words
        from rationale_eval.models.variants import score_variants

        chosen, given = self.slices("ablation"), []
        for index in chosen:
            fields = {"text": self.texts[index]}
            words = whitespace_words([self.texts[index]])
            for left_out in [None, *range(len(words))]:
                marked = tuple(place == left_out for place in range(len(words)))
                given.append(mask_words(fields, words, marked, "replace", MASK))
        with tempfile.TemporaryDirectory() as memo:
            stage = argparse.Namespace(memo=Path(memo), batch_tokens=2048, batch_rows=16)
            scores = iter(score_variants("ablation", self.encoder.encode(given), self.loaded, stage))
            return [
                word_scores(question, [next(scores) for _ in range(len(text.split()) + 1)], "log_probability")
                for question, text in ((self.questions[index], self.texts[index]) for index in chosen)
            ]


class Captum(Contestant):
    """captum's wrappers for language models."""

    def input_x_gradient(self) -> list[Any]:
        import torch
        from captum.attr import LayerGradientXActivation, LLMGradientAttribution, TextTokenInput

        method = LayerGradientXActivation(self.model, self.model.get_input_embeddings())
        wrapper, found = LLMGradientAttribution(method, self.tokenizer), []
        for index in self.slices("input_x_gradient"):
            given = TextTokenInput(self.prompts[index].text, self.tokenizer)
            result = wrapper.attribute(given, target=torch.tensor([self.targets[index]]))
            found.append(result.seq_attr[self.places(self.prompts[index])].numpy())
        return found

    def integrated_gradients(self) -> list[Any]:
        import torch
        from captum.attr import LayerIntegratedGradients

        found = []
        for index in self.slices("integrated_gradients"):
            token, places = self.targets[index], self.places(self.prompts[index])

            def score(ids: Any, token: int = token) -> Any:
                return self.model(ids).logits[:, -1].log_softmax(-1)[:, token]

            ids = torch.tensor([self.prompts[index].tokens])
            start = ids.clone()
            start[0, places] = self.tokenizer.pad_token_id
            method = LayerIntegratedGradients(score, self.model.get_input_embeddings())
            values = method.attribute(ids, baselines=start, n_steps=self.args.steps)
            found.append(values[0, places].sum(-1).detach().numpy())
        return found

    def ablation(self) -> list[Any]:
        import torch
        from captum.attr import FeatureAblation, LLMAttribution, TextTemplateInput

        wrapper, found = LLMAttribution(FeatureAblation(self.model), self.tokenizer), []
        for index in self.slices("ablation"):
            words = self.texts[index].split()
            before, after = self.prompts[index].text.rsplit(self.texts[index], 1)
            template = before.replace("{", "{{") + " ".join(["{}"] * len(words)) + after
            given = TextTemplateInput(template, values=words, baselines=[MASK] * len(words))
            result = wrapper.attribute(given, target=torch.tensor([self.targets[index]]), use_cached_outputs=False)
            found.append(result.seq_attr.numpy())
        return found


class Inseq(Contestant):
    """inseq, whose target is given as text."""

    def __init__(self, args: argparse.Namespace) -> None:
        super().__init__(args)
        import inseq

        self.inseq = inseq.load_model(self.model, "saliency", tokenizer=self.tokenizer)

    def _attribute(self, method: str, **options: Any) -> list[Any]:
        found = []
        for index in self.slices(method):
            text = self.prompts[index].text
            result = self.inseq.attribute(
                text,
                text + self.tokenizer.decode([self.targets[index]]),
                method=method,
                show_progress=False,
                **options,
            )
            attributions = result.sequence_attributions[0].target_attributions
            found.append(attributions[self.places(self.prompts[index]), 0].float().numpy())
        return found

    def input_x_gradient(self) -> list[Any]:
        found = self._attribute("input_x_gradient", attributed_fn="probability", logprob=True)
        return [values.sum(-1) for values in found]

    def saliency(self) -> list[Any]:
        found = self._attribute("saliency", attributed_fn="probability", logprob=True)
        return [np.linalg.norm(values, axis=-1) for values in found]

    def integrated_gradients(self) -> list[Any]:
        found = self._attribute(
            "integrated_gradients", attributed_fn="probability", logprob=True, n_steps=self.args.steps
        )
        return [values.sum(-1) for values in found]

    def attention(self) -> list[Any]:
        return [values[:, -1].mean(-1) for values in self._attribute("attention")]


LIBRARIES: dict[str, type[Contestant]] = {"ours": Ours, "captum": Captum, "inseq": Inseq}


def resident(name: str) -> float:
    """Megabytes of this process: ``VmRSS`` now, ``VmHWM`` at most since ``forget_peak``. Linux only."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def forget_peak() -> None:
    """Let ``VmHWM`` begin anew."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def work(args: argparse.Namespace) -> None:
    """A library's process: for each line, a method's name, run it and answer with a line of JSON."""
    answers = os.fdopen(os.dup(1), "w")
    sys.stdout = sys.stderr
    contestant = LIBRARIES[args.library](args)
    lengths = [len(prompt.tokens) for prompt in contestant.prompts]
    once = contestant.once if isinstance(contestant, Ours) else None
    print(json.dumps({"lengths": lengths, "once": once}), file=answers, flush=True)
    for line in sys.stdin:
        forget_peak()
        before, start, processor = resident("VmRSS"), time.perf_counter(), time.process_time()
        values = getattr(contestant, line.strip())()
        answer = {
            "seconds": (time.perf_counter() - start) / len(values),
            "processor": (time.process_time() - processor) / len(values),
            "megabytes": resident("VmHWM") - before,
            "values": [list(one) for one in values],
        }
        print(json.dumps(answer, default=float), file=answers, flush=True)


def compare(args: argparse.Namespace) -> None:
    """Run the contestants in turns and print what they took."""
    with tempfile.TemporaryDirectory() as folder:
        if args.model is None:
            import tiny_models

            args.model = tiny_models.make_tiny_llama(Path(folder, "tiny"))
        log = Path(folder, "log.txt").open("w")  # noqa: SIM115
        workers = {name: _start(args, name, log) for name in LIBRARIES}
        try:
            _compare(args, workers)
        except json.JSONDecodeError:
            raise SystemExit(Path(folder, "log.txt").read_text(encoding="utf-8")[-3000:]) from None
        finally:
            for worker in workers.values():
                worker.stdin.close()
                worker.wait()
                worker.stdout.close()
            log.close()


def _start(args: argparse.Namespace, library: str, log: Any) -> Any:
    command = [sys.executable, __file__, "--library", library, "--model", str(args.model), "--shots", str(args.shots)]
    command += ["--instances", str(args.instances), "--slow-instances", str(args.slow_instances)]
    command += ["--steps", str(args.steps)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)


def _compare(args: argparse.Namespace, workers: dict[str, Any]) -> None:
    ready = {name: json.loads(worker.stdout.readline()) for name, worker in workers.items()}
    lengths, (shared, seconds) = ready["ours"]["lengths"], ready["ours"]["once"]
    print(f"{len(lengths)} prompts of {min(lengths)} to {max(lengths)} tokens, {args.shots} solved examples")
    print(f"ours computes the {shared} tokens that all begin with once, in {seconds:.2f} s, not counted below")
    methods = [method for method in args.methods if not args.shots or method in FEW_SHOT]
    runs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for _ in range(args.repeats):
        for method in methods:
            for library in METHODS[method]:
                worker = workers[library]
                print(method, file=worker.stdin, flush=True)
                runs.setdefault((method, library), []).append(json.loads(worker.stdout.readline()))
    kinds = ("seconds", "processor")
    print(f"{'per instance':<22}{'':<9}{'s (range)':>24}{'ratio':>7}{'CPU s':>8}{'ratio':>7}{'MB':>7}{'apart':>14}")
    for (method, library), results in runs.items():
        ours = runs[method, "ours"]
        times = [result["seconds"] for result in results]
        middle = {kind: statistics.median(result[kind] for result in results) for kind in kinds}
        ratio = {kind: middle[kind] / statistics.median(result[kind] for result in ours) for kind in kinds}
        spread = f"{middle['seconds']:.3f} ({min(times):.3f} to {max(times):.3f})"
        apart = "" if library == "ours" else f"{_apart(ours[0]['values'], results[0]['values']):.1e}"
        if (method, library) in OTHER_DEFINITION:
            apart = "not the same"
        print(
            f"{method:<22}{library:<9}{spread:>24}{ratio['seconds']:>7.2f}{middle['processor']:>8.3f}"
            f"{ratio['processor']:>7.2f}{max(result['megabytes'] for result in results):>7.0f}{apart:>14}"
        )


def _apart(ours: list[list[float]], other: list[list[float]]) -> float:
    return max(
        float(np.abs(np.subtract(mine, theirs)).max() / np.abs(theirs).max())
        for mine, theirs in zip(ours, other, strict=False)
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model folder (default: a tiny random model)")
    parser.add_argument("--shots", type=int, default=0, help="solved examples before each question, an even number")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--instances", type=int, default=8)
    parser.add_argument("--slow-instances", type=int, default=2, help=f"of other libraries for {' and '.join(SLOW)}")
    parser.add_argument("--steps", type=int, default=20, help="of integrated gradients (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--gpu-shape", choices=("llama-3-8b", "tiny"), help="tiny tries out the code without a GPU")
    parser.add_argument("--library", choices=LIBRARIES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.gpu_shape:
        import gpu_shape

        gpu_shape.report(args.gpu_shape)
    elif args.library:
        work(args)
    else:
        compare(args)


if __name__ == "__main__":
    main()
