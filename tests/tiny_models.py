"""Tiny random models with real tokenizers and chat templates, and a small made-up corpus, for tests and smoke runs.

Everything is made on the spot from a seed: no download, and the same files each time.

    python tests/tiny_models.py FOLDER        writes FOLDER/model and FOLDER/corpus
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tiny_architectures import ARCHITECTURES

POSITIVE = ("lovely", "charming", "delightful", "splendid", "joyful", "superb", "tender", "bright", "elegant", "warm")
NEGATIVE = ("dreadful", "clumsy", "tedious", "bleak", "annoying", "shoddy", "hollow", "grim", "awkward", "stale")
THINGS = ("film", "story", "meal", "concert", "garden", "novel", "hotel", "journey", "speech", "camera")
PLACES = ("in the old harbour", "near the station", "by the lake", "on the second floor", "at the market", "")
TIMES = ("today", "last week", "on Monday", "this summer", "once again", "")
PEOPLE = ("my neighbour", "the whole family", "our guide", "the critics", "her brother", "everybody")

# str.format patterns over the lists above; {a} and {b} are rated words of one polarity, {c} one of the other.
PATTERNS = (
    "{who} found the {thing} {place} {a} {when}.",
    "the {thing} {place} was {a} and {b} {when}!",
    "such a {a} {thing}, although the {other} {place} seemed {c}.",
    "{when} {who} called the {thing} {a}, {b} indeed.",
    "it was a {a} {thing} {place} with a {b} {other} {when}",
)
NEUTRAL_PATTERNS = (
    "the {thing} {place} opened at nine {when}.",
    "{who} took the {thing} to the {other} {place} {when}.",
)

CHATML = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}"
    "{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
INST = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ '<<SYS>> ' + message['content'] | trim + ' <</SYS>> ' }}"
    "{% elif message['role'] == 'user' %}{{ '[INST] ' + message['content'] | trim + ' [/INST]' }}"
    "{% else %}{{ ' ' + message['content'] | trim + ' ' + eos_token }}{% endif %}"
    "{% endfor %}"
)
PROMPT_TEXTS = (
    "Classify the sentiment of the text as positive or negative.\n\nText: ",
    "You are a helpful assistant.",
    "system\n",
    "user\n",
    "assistant\n",
    "negative",
    "positive",
    " negative",
    " positive",
    "[INST] the text [/INST] positive",
    "[INST] the text [/INST] negative",
    "Premise: Hypothesis: entailment neutral contradiction",
)


def sentences(seed: int) -> Iterator[tuple[float, str]]:
    """An endless stream of distinct ``(rating, sentence)``; 5 to 15 words, ratings from -4 to 4."""
    chance = random.Random(f"sentences {seed}")
    seen: set[str] = set()
    while True:
        sign = chance.choice((-1, 1))
        own, contrary = (POSITIVE, NEGATIVE) if sign > 0 else (NEGATIVE, POSITIVE)
        neutral = chance.random() < 0.1
        first, second = chance.sample(own, 2)
        thing, other = chance.sample(THINGS, 2)
        text = chance.choice(NEUTRAL_PATTERNS if neutral else PATTERNS).format(
            a=first,
            b=second,
            c=chance.choice(contrary),
            thing=thing,
            other=other,
            who=chance.choice(PEOPLE),
            place=chance.choice(PLACES),
            when=chance.choice(TIMES),
        )
        text = " ".join(text.split()).replace(" .", ".").replace(" !", "!").replace(" ,", ",")
        text = text.replace(" a a", " an a").replace(" a e", " an e")
        strength = 0.1 + 0.3 * chance.random() if neutral else 1.2 + 2.3 * chance.random()
        if text.casefold() not in seen and 5 <= len(text.split()) <= 15:
            seen.add(text.casefold())
            yield round(sign * strength, 2), text[0].upper() + text[1:]


def make_smoke_corpus(folder: Path, rows: int = 60, seed: int = 0) -> Path:
    """Write ``snippets.tsv`` and ``lexicon.tsv`` into ``folder``; with more ``rows`` the earlier ones stay the same."""
    folder.mkdir(parents=True, exist_ok=True)
    stream = sentences(seed)
    lines = []
    for number in range(1, rows + 1):
        rating, text = next(stream)
        lines.append(f"{number}\t{rating}\t{text}\n")
    (folder / "snippets.tsv").write_text("".join(lines), encoding="utf-8")

    chance = random.Random(f"lexicon {seed}")
    entries = []
    for words, sign in ((POSITIVE, 1), (NEGATIVE, -1)):
        for word in words:
            ratings = [sign * chance.choice((1, 2, 2, 3, 3, 4)) for _ in range(10)]
            entries.append(f"{word}\t{statistics.mean(ratings):.1f}\t{statistics.pstdev(ratings):.5f}\t{ratings}\n")
    (folder / "lexicon.tsv").write_text("".join(entries), encoding="utf-8")
    return folder


def _training_text() -> list[str]:
    stream = sentences(seed=1)
    return [*PROMPT_TEXTS * 40, *(next(stream)[1] for _ in range(300))]


def _byte_level_tokenizer(vocabulary: int) -> Any:
    """A byte-level BPE as GPT-2, Llama 3, Qwen and SmolLM have it: no normalisation, any text is encodable."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|im_start|>", "<|im_end|>", "<|pad|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_training_text(), trainer)
    bos, eos, pad = special
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=bos, eos_token=eos, pad_token=pad, chat_template=CHATML
    )


def _sentencepiece_tokenizer(vocabulary: int) -> Any:
    """A BPE as Llama 2 and Mistral have it: ``▁`` for spaces and before each text, bytes for unknown characters.

    By itself it puts ``<s>`` before every text, as theirs do.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Metaspace()
    learner.train_from_iterator(
        _training_text(), trainers.BpeTrainer(vocab_size=vocabulary - 259, special_tokens=[], show_progress=False)
    )
    learnt = json.loads(learner.to_str())["model"]
    names = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    names += [name for name in learnt["vocab"] if "\n" not in name]
    merges = [tuple(pair) for pair in learnt["merges"] if "\n" not in "".join(pair)]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={name: index for index, name in enumerate(names)},
            merges=merges,
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", chat_template=INST
    )


def _byte_level_base_tokenizer(vocabulary: int) -> Any:
    """As a base model has it: without chat template."""
    tokenizer = _byte_level_tokenizer(vocabulary)
    tokenizer.chat_template = None
    return tokenizer


def _sentencepiece_base_tokenizer(vocabulary: int) -> Any:
    """As a base model has it: without chat template."""
    tokenizer = _sentencepiece_tokenizer(vocabulary)
    tokenizer.chat_template = None
    return tokenizer


TOKENIZERS: dict[str, Callable[[int], Any]] = {
    "byte_level": _byte_level_tokenizer,
    "sentencepiece": _sentencepiece_tokenizer,
    "byte_level_base": _byte_level_base_tokenizer,
    "sentencepiece_base": _sentencepiece_base_tokenizer,
}


def make_tiny(
    folder: Path,
    architecture: str = "llama",
    tokenizer: str = "byte_level",
    seed: int = 0,
    vocabulary: int = 512,
    hidden: int = 32,
    layers: int = 3,
    positions: int = 256,
    window: int = 16,
) -> Path:
    """Write a random float32 model and its tokenizer as a safetensors folder; not all have a ``window``."""
    import torch
    from transformers import AutoModelForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    words = TOKENIZERS[tokenizer](vocabulary)
    config = ARCHITECTURES[architecture](len(words), hidden, layers, positions, window)
    config.bos_token_id, config.eos_token_id, config.pad_token_id = (
        words.bos_token_id,
        words.eos_token_id,
        words.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors are written readable by their owner alone
    return folder


def make_tiny_llama(folder: Path, seed: int = 0, **options: Any) -> Path:
    """A tiny Llama with a byte-level tokenizer and a ChatML template."""
    return make_tiny(folder, "llama", "byte_level", seed, **options)


def write_gguf(folder: Path, path: Path, pre: str | None = "gpt-2", eot: int | None = None) -> Path:
    """Write the model of ``folder``, a Llama with byte-level tokenizer, as a float32 GGUF file, as llama.cpp does.

    ``pre`` names the rule by which text is split, ``eot`` is the token that ends a turn; None: the file does not say.
    """
    import gguf
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    config, learnt = model.config, json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_tokenizer_model("gpt2")
    if pre is not None:
        writer.add_tokenizer_pre(pre)
    if eot is not None:
        writer.add_eot_token_id(eot)
    writer.add_token_list(tokenizer.convert_ids_to_tokens(range(len(tokenizer))))
    special = set(tokenizer.all_special_ids)
    kinds = {True: gguf.TokenType.CONTROL, False: gguf.TokenType.NORMAL}
    writer.add_token_types([kinds[index in special] for index in range(len(tokenizer))])
    writer.add_token_merges([" ".join(pair) for pair in learnt["merges"]])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for name, weights in model.state_dict().items():
        values = weights.numpy()
        if count := heads.get(name.split(".")[-2]):
            # GGUF holds the two halves that rotary positions pair up side by side.
            values = values.reshape(count, 2, -1, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def main() -> None:
    """Command line: write a model and a corpus."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="gets the folders model/ and corpus/")
    parser.add_argument("--rows", type=int, default=60, help="rows of the corpus (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and sentences (default: %(default)s)")
    args = parser.parse_args()
    make_tiny_llama(args.folder / "model", args.seed)
    make_smoke_corpus(args.folder / "corpus", args.rows, args.seed)
    print(f"{args.folder}: wrote model/ and corpus/ ({args.rows} rows)")


if __name__ == "__main__":
    main()
