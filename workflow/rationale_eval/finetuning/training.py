"""One epoch of training on the label tokens.

The loss of a row is the negative score of its gold label: minus the summed log-probability of the verbaliser's tokens
after the prompt that prediction uses, by the same code. The loss of an optimizer step is its mean over all rows of the
step, however they are divided into batches. The optimizer is AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101); biases
and norms do not decay.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from rationale_eval.errors import UserError
from rationale_eval.finetuning.adapters import Trainee
from rationale_eval.finetuning.course import dropout_seed, learning_rate
from rationale_eval.finetuning.data import Example
from rationale_eval.finetuning.settings import Settings
from rationale_eval.models.loading import LoadedModel
from rationale_eval.models.memory import lacks_memory
from rationale_eval.models.scoring import Prefix, Row, collate, forward, score_labels, shared_prefix
from rationale_eval.progress import Progress

Record = dict[str, Any]


class TrainedPrefix(Prefix):
    """The tokens that all prompts share, under weights that change: computed once per batch, with gradients.

    The gradient of a token that several rows read is the sum over those rows, so that the result is that of computing
    it in each row; only a dropout mask on it is the same for the rows of a batch.
    """

    def __init__(self, loaded: LoadedModel, tokens: Sequence[int]) -> None:
        super().__init__(loaded, ())
        self.length = len(tokens)
        self._loaded = loaded
        self._ids = torch.tensor([list(tokens)], dtype=torch.long, device=loaded.device)

    def copy(self, rows: int) -> Any:
        """The cache for a batch of ``rows`` rows, attached to the graph of the current weights."""
        if not self.length:
            return None
        cache = self._loaded.model(input_ids=self._ids, use_cache=True, logits_to_keep=1).past_key_values
        cache.batch_repeat_interleave(rows)
        return cache


def make_optimizer(trainee: Trainee, settings: Settings) -> torch.optim.AdamW:
    """AdamW over the trained parameters; only matrices decay."""
    parameters = list(trainee.parameters().values())
    groups = [
        {"params": [value for value in parameters if value.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [value for value in parameters if value.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=settings.learning_rate)


def gold_row(owner: int, example: Example) -> Row:
    """The row of a batch whose only targets are the tokens of the gold label."""
    answer, last = example.prompt.labels[example.gold], len(example.prompt.tokens) - 1
    return Row(
        owner, example.prompt.tokens + answer[:-1], tuple((0, last + k, token) for k, token in enumerate(answer))
    )


def row_losses(trainee: Trainee, prefix: Prefix, batch: Sequence[Example]) -> tuple[torch.Tensor, Record]:
    """The loss of each row, float32 of shape (rows,), differentiable, and the batch's counts of positions."""
    collated = collate([gold_row(owner, row) for owner, row in enumerate(batch)], prefix, trainee.loaded)
    with trainee.computing():
        losses = -forward(trainee.loaded, prefix, collated, len(batch), 1).squeeze(1)
    tokens = sum(row.length for row in batch)
    positions = collated.tokens.numel()
    counts = {
        "tokens": tokens,
        "computed": positions + prefix.length,
        "padding": positions - (tokens - prefix.length * len(batch)),
    }
    return losses, counts


def take_step(
    trainee: Trainee, optimizer: torch.optim.Optimizer, prefix: Prefix, batches: list[list[Example]], settings: Settings
) -> Record:
    """One optimizer step over ``batches``: the mean loss of their rows, the gradient's norm before clipping, counts.

    Raises ``UserError`` with the ids of the rows if the loss or the gradient is not finite; nothing is updated then.
    """
    rows = [row for batch in batches for row in batch]
    counts = {"tokens": 0, "computed": 0, "padding": 0}
    found = []
    optimizer.zero_grad(set_to_none=True)
    for batch in batches:
        losses, more = row_losses(trainee, prefix, batch)
        torch.autograd.backward(losses.sum() / len(rows))
        found.append(losses.detach())
        counts = {name: counts[name] + more[name] for name in counts}
    # One look at the numbers per step: each one makes the CPU wait for a GPU.
    values = torch.cat(found)
    limit = math.inf if settings.max_grad_norm is None else settings.max_grad_norm
    norm = torch.nn.utils.clip_grad_norm_(list(trainee.parameters().values()), limit)
    if not torch.isfinite(values).all():
        bad = [row.id for row, finite in zip(rows, torch.isfinite(values).tolist(), strict=True) if not finite]
        raise UserError(f"the loss is not finite for {bad}")
    if not torch.isfinite(norm):
        raise UserError(f"the gradient is not finite for the rows {[row.id for row in rows]}")
    optimizer.step()
    return {"rows": len(rows), "loss": float(values.mean()), "gradient_norm": float(norm), **counts}


def train_epoch(
    trainee: Trainee,
    optimizer: torch.optim.Optimizer,
    examples: Sequence[Example],
    steps: list[list[list[int]]],
    settings: Settings,
    seed: int,
    epoch: int,
    steps_before: int,
    history: list[Record],
    after_step: Callable[[list[Record]], None],
) -> None:
    """Take the ``steps`` of an epoch that ``history`` lacks, adding a record for each.

    ``steps_before`` is the number of optimizer steps of earlier epochs. ``after_step`` is called with the history after
    each step. Dropout is seeded by (seed, epoch, step), so that a run that is stopped anywhere and continued by another
    process computes the same. Raises ``UserError`` naming the step when the loss is not finite or memory runs out.
    """
    loaded = trainee.loaded
    # Recomputing activations forbids caches: then every row computes the shared tokens itself.
    shared = () if settings.gradient_checkpointing else shared_prefix([row.prompt for row in examples], False)
    prefix = TrainedPrefix(loaded, shared)
    progress = Progress(f"epoch {epoch}", len(steps), "steps", skipped=len(history))
    start, tokens = time.monotonic(), 0
    loaded.model.train()
    for number in range(len(history), len(steps)):
        step = steps_before + number + 1
        rate = learning_rate(settings, step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        torch.manual_seed(dropout_seed(seed, epoch, number))
        batches = [[examples[index] for index in batch] for batch in steps[number]]
        try:
            record = take_step(trainee, optimizer, prefix, batches, settings)
        except UserError as error:
            raise UserError(f"epoch {epoch}, step {step}: {error}; try a lower learning_rate") from None
        except RuntimeError as error:
            if not lacks_memory(error):
                raise
            raise UserError(
                f"epoch {epoch}, step {step}: out of memory with batches of {settings.batch_rows} rows; lower "
                "batch_rows and raise accumulation by the same factor (the result is the same), or set "
                "gradient_checkpointing"
            ) from None
        nothing = {"validation_loss": None, "validation_accuracy": None}
        history.append({"step": step, **record, "learning_rate": rate, **nothing})
        tokens += record["tokens"]
        done = {name: sum(row[name] for row in history) for name in ("padding", "computed")}
        progress.what = (
            f"epoch {epoch}: loss {record['loss']:.4f}, {tokens / (time.monotonic() - start):.0f} tokens/s, "
            f"{done['padding'] / done['computed']:.0%} padding"
        )
        progress.advance(1)
        after_step(history)
    loaded.model.eval()


def evaluate(trainee: Trainee, examples: Sequence[Example], batch_rows: int) -> tuple[float, float] | None:
    """Mean loss and accuracy on held-out rows, scored as predictions are; None if there are no such rows."""
    if not examples:
        return None
    ordered = sorted(examples, key=lambda row: -row.length)
    losses, hits = 0.0, 0
    with trainee.computing():
        prefix = Prefix(trainee.loaded, shared_prefix([row.prompt for row in ordered], before_content=False))
        for start in range(0, len(ordered), batch_rows):
            batch = ordered[start : start + batch_rows]
            scores = score_labels(trainee.loaded, prefix, [row.prompt for row in batch])
            gold = torch.tensor([row.gold for row in batch], device=scores.device)
            losses -= float(scores.gather(1, gold[:, None]).sum())
            hits += int((scores.argmax(dim=1) == gold).sum())
    return losses / len(ordered), hits / len(ordered)
