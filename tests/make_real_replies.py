"""Ask a prepared model for rationales of real rows: the raw half of tests/unit/real_replies.jsonl.

    PYTHONPATH=workflow python tests/make_real_replies.py RESULTS MODEL ROWS OUTPUT

RESULTS is a results folder with the corpora ``movie_reviews`` and ``editorials`` and predictions of MODEL. The replies
are greedy; ROWS test rows of each corpus that people marked are asked about with each prompt. The table holds replies
from a run with 12 rows, those to the prompts `json` and `bullets` of the first 6 only. What a careful person reads in
each (``outcome``, ``order``, ``words``, ``hallucinated``) was then written into the records by hand. The records with
the form ``tuned`` are replies of the default study's checkpoint after an epoch on labels, one of each wording.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
import torch
from rationale_eval.corpora.instances import read_instances
from rationale_eval.models.task import load_task
from transformers import AutoModelForCausalLM, AutoTokenizer

CORPORA = ("movie_reviews", "editorials")
PROMPTS = Path(__file__).parents[1] / "workflow" / "prompts" / "sentiment.yaml"
QUESTION = "Text: {text}\n\nYou classified the sentiment of this text as {label}. "
WHICH = QUESTION + "Which words of the text made you decide? Answer with a list of single words only"
# Form, strategy, and the prompt unless it is the one of the package: other prompts show other forms of replies.
FORMS = (
    ("packaged", "unbound", None),
    ("packaged", "guided", None),
    ("word", "unbound", WHICH + ", like this:\n- word\n- word"),
    ("word", "guided", WHICH + ", exactly {k} in all, like this:\n- word\n- word"),
    ("json", "unbound", QUESTION + "List the words of the text that made you decide, as a JSON list."),
    (
        "bullets",
        "guided",
        QUESTION + "List only the {k} most important words of the text that made you decide, as bullet points.",
    ),
)
NEW_TOKENS = 48
BATCH = 12


def questions(results: Path, model: str, rows: int) -> list[dict[str, object]]:
    """One record per corpus, strategy and row, with the message to send."""
    task = load_task(PROMPTS)
    found = []
    for corpus in CORPORA:
        predictions = pq.read_table(results / corpus / model / "base" / "predictions.parquet").to_pylist()
        predicted = {row["id"]: row["predicted"] for row in predictions}
        marked = [row for row in read_instances(results / "corpora" / corpus / "test.parquet") if any(row.rationale)]
        for form, strategy, prompt in FORMS:
            for instance in marked[:rows]:
                k = sum(instance.rationale) if strategy == "guided" else None
                label = predicted[instance.id]
                if prompt is None:
                    message = task.explanation(strategy, instance.fields, label, k)
                else:
                    message = prompt.format(text=instance.fields["text"], label=label, k=k)
                found.append(
                    {
                        "corpus": corpus,
                        "id": instance.id,
                        "text": instance.fields["text"],
                        "label": label,
                        "form": form,
                        "strategy": strategy,
                        "k": k,
                        "message": message,
                    }
                )
    return found


def main(results: str, model: str, rows: str, output: str) -> None:
    """Write the records with their replies."""
    records = questions(Path(results), model, int(rows))
    folder = Path(results) / "models" / model / "snapshot"
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with Path(output).open("w", encoding="utf-8") as file:
        for start in range(0, len(records), BATCH):
            batch = records[start : start + BATCH]
            chats = [[{"role": "user", "content": record.pop("message")}] for record in batch]
            texts = [tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) for chat in chats]
            encoded = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
            with torch.inference_mode():
                made = network.generate(**encoded, max_new_tokens=NEW_TOKENS, do_sample=False)
            for record, tokens in zip(batch, made[:, encoded["input_ids"].shape[1] :], strict=True):
                record["reply"] = tokenizer.decode(tokens, skip_special_tokens=True)
                record["finished"] = bool((tokens == tokenizer.eos_token_id).any())
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
            file.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
