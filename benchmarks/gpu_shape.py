"""Gradient evidence on one GPU with a random model of a known shape; run by attribution.py --gpu-shape.

Model FLOPs utilisation is F * T / (seconds * rate): T are the positions put through the model without padding, ``rate``
the card's own for bfloat16 matrix products, measured beforehand, and

    F = 4 * N + 6 * layers * hidden * length

the floating-point operations of one position. N are the weights of the linear layers but the last (2 N forward, 2 N for
the gradient with respect to their inputs); the last term are the two matrix products of causal attention (2 * hidden *
length forward for both, on average over positions; twice that backward). captum's wrapper is given some of the same
prompts one by one. A tiny shape tries out the code on a CPU, in float32.
"""

from __future__ import annotations

import random
import time
from typing import Any

SHAPES: dict[str, dict[str, int]] = {
    "llama-3-8b": {
        "vocab_size": 128256,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
    },
    "tiny": {
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
}
SHARED = 32  # tokens that all prompts begin with
LENGTHS = (128, 256)  # of the rest of a prompt
INSTANCES = 512
BATCH_TOKENS = 8192
PEERS = 16  # prompts that captum is given


def matrix_rate(device: Any, dtype: Any, size: int, repeats: int = 20) -> float:
    """Floating-point operations per second of products of square matrices."""
    import torch

    left, right = (torch.randn((size, size), device=device).to(dtype) for _ in range(2))
    for _ in range(3):
        left @ right
    start = _now(device)
    for _ in range(repeats):
        left @ right
    return 2 * size**3 * repeats / (_now(device) - start)


def _now(device: Any) -> float:
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


class _Tokens:
    """What captum asks of a tokenizer, for prompts that are token ids and not text."""

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        return [str(token) for token in ids]

    def decode(self, ids: Any) -> str:
        return " ".join(str(int(token)) for token in ids)

    def encode(self, text: str, **_: Any) -> Any:
        import torch

        return torch.tensor([[int(token) for token in text.split()]])

    def __call__(self, text: str, **_: Any) -> dict[str, Any]:
        ids = [int(token) for token in text.split()]
        return {"input_ids": ids, "offset_mapping": [(0, 0)] * len(ids)}


def report(shape: str) -> None:
    """Measure and print."""
    import torch
    from captum.attr import LayerGradientXActivation, LLMGradientAttribution, TextTokenInput
    from rationale_eval.evidence.measure import Question, measure
    from rationale_eval.models.batching import plan
    from rationale_eval.models.encoding import ContentToken, Prompt
    from rationale_eval.models.loading import LoadedModel
    from rationale_eval.models.scoring import Prefix, shared_prefix
    from transformers import AutoModelForCausalLM, LlamaConfig

    cuda = torch.cuda.is_available()
    if shape != "tiny" and not cuda:
        raise SystemExit("--gpu-shape needs a GPU; --gpu-shape tiny tries the code without one")
    device, dtype = (torch.device("cuda"), torch.bfloat16) if cuda else (torch.device("cpu"), torch.float32)
    rate = matrix_rate(device, dtype, 8192 if cuda else 512)
    config = LlamaConfig(**SHAPES[shape], max_position_embeddings=8192)
    with device:
        model = AutoModelForCausalLM.from_config(config, dtype=dtype).eval().requires_grad_(False)
    loaded = LoadedModel(model, None, device, str(dtype).removeprefix("torch."), {"name": shape, "files": {}})
    weights = sum(
        module.weight.numel()
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and name != "lm_head"
    )
    chance, few = random.Random(0), shape == "tiny"
    start = tuple(chance.choices(range(10, config.vocab_size), k=SHARED))
    questions = []
    for _ in range(32 if few else INSTANCES):
        rest = tuple(chance.choices(range(10, config.vocab_size), k=chance.randint(*LENGTHS)))
        content = tuple(ContentToken(SHARED + place, 0, place, place + 1) for place in range(len(rest) - 8))
        questions.append(Question(Prompt("", start + rest, content, ((5,), (6,)), False)))
    shared = shared_prefix([question.prompt for question in questions], before_content=True)
    prefix = Prefix(loaded, shared)
    lengths = [len(question.prompt.tokens) - len(shared) for question in questions]
    batches = plan(lengths, 1024 if few else BATCH_TOKENS, len(questions))
    measure(loaded, prefix, [questions[index] for index in batches[0]], gradients=True, attention=False)  # warm up
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    begin, found = _now(device), {}
    for batch in batches:
        results = measure(loaded, prefix, [questions[index] for index in batch], gradients=True, attention=False)
        found |= dict(zip(batch, results, strict=True))
    seconds = _now(device) - begin
    useful, mean = sum(lengths), sum(len(question.prompt.tokens) for question in questions) / len(questions)
    operations = (4 * weights + 6 * config.num_hidden_layers * config.hidden_size * mean) * useful
    print(f"{shape} on {torch.cuda.get_device_name() if cuda else 'cpu'}, {loaded.dtype}")
    print(f"{len(questions)} prompts, {mean:.0f} tokens on average, {len(shared)} of them shared by all")
    print(f"ours: {len(questions) / seconds:.2f} instances/s, {useful / seconds:,.0f} computed positions/s")
    print(f"matrix products: {rate / 1e12:.2f} TFLOP/s; utilisation {operations / seconds / rate:.1%} of that")
    if cuda:
        print(f"peak memory {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")

    tokenizer = _Tokens()
    wrapper = LLMGradientAttribution(LayerGradientXActivation(model, model.get_input_embeddings()), tokenizer)
    apart, begin = 0.0, _now(device)
    for index in range(min(PEERS, len(questions))):
        prompt = questions[index].prompt
        given = TextTokenInput(tokenizer.decode(list(prompt.tokens)), tokenizer)
        target = prompt.labels[int(found[index]["scores"].argmax())]
        values = wrapper.attribute(given, target=torch.tensor(target, device=device)).seq_attr.float().cpu().numpy()
        values = values[[token.position for token in prompt.content]]
        apart = max(apart, float(abs(values - found[index]["gxi_dot"]).max() / abs(values).max()))
    theirs = min(PEERS, len(questions)) / (_now(device) - begin)
    print(f"captum: {theirs:.2f} instances/s; ours is {len(questions) / seconds / theirs:.1f} times as fast")
    print(f"largest disagreement of input x gradient, relative to the scale: {apart:.1e}")
