"""Configurations of tiny models, one for each architecture that tests cover."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def _llama(vocabulary: int, hidden: int, layers: int, positions: int, window: int) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(**_common(vocabulary, hidden, layers, positions))


def _mistral(vocabulary: int, hidden: int, layers: int, positions: int, window: int) -> Any:
    from transformers import MistralConfig

    return MistralConfig(**_common(vocabulary, hidden, layers, positions), sliding_window=window)


def _qwen2(vocabulary: int, hidden: int, layers: int, positions: int, window: int) -> Any:
    from transformers import Qwen2Config

    return Qwen2Config(**_common(vocabulary, hidden, layers, positions))


def _gpt2(vocabulary: int, hidden: int, layers: int, positions: int, window: int) -> Any:
    from transformers import GPT2Config

    return GPT2Config(
        vocab_size=vocabulary,
        n_embd=hidden,
        n_layer=layers,
        n_head=4,
        n_positions=positions,
        initializer_range=0.2,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )


def _qwen3(vocabulary: int, hidden: int, layers: int, positions: int, window: int) -> Any:
    from transformers import Qwen3Config

    return Qwen3Config(**_common(vocabulary, hidden, layers, positions), head_dim=hidden // 4)


def _gemma2(vocabulary: int, hidden: int, layers: int, positions: int, window: int) -> Any:
    """Its attention caps the scores; every other layer has a window; embeddings are scaled and tied."""
    from transformers import Gemma2Config

    return Gemma2Config(
        **_common(vocabulary, hidden, layers, positions) | {"tie_word_embeddings": True},
        head_dim=hidden // 4,
        query_pre_attn_scalar=hidden // 4,
        sliding_window=window,
        attn_logit_softcapping=0.5,
    )


def _gemma3(vocabulary: int, hidden: int, layers: int, positions: int, window: int) -> Any:
    """Windows in some layers, queries and keys normalised; embeddings are scaled and tied."""
    from transformers import Gemma3TextConfig

    return Gemma3TextConfig(
        **_common(vocabulary, hidden, layers, positions) | {"tie_word_embeddings": True},
        head_dim=hidden // 4,
        query_pre_attn_scalar=hidden // 4,
        sliding_window=window,
        layer_types=["full_attention" if layer % 2 else "sliding_attention" for layer in range(layers)],
    )


def _gpt_neox(vocabulary: int, hidden: int, layers: int, positions: int, window: int) -> Any:
    """Pythia's: attention and feed-forward in parallel, rotary positions on a part of each head."""
    from transformers import GPTNeoXConfig

    common = _common(vocabulary, hidden, layers, positions)
    del common["num_key_value_heads"]
    return GPTNeoXConfig(**common)


def _phi(vocabulary: int, hidden: int, layers: int, positions: int, window: int) -> Any:
    from transformers import PhiConfig

    return PhiConfig(**_common(vocabulary, hidden, layers, positions))


def _phi3(vocabulary: int, hidden: int, layers: int, positions: int, window: int) -> Any:
    """One matrix for queries, keys and values; a window in every layer."""
    from transformers import Phi3Config

    common = _common(vocabulary, hidden, layers, positions)
    # Its defaults name special tokens beyond so small a vocabulary.
    special = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), 0)
    return Phi3Config(**common, **special, sliding_window=window, original_max_position_embeddings=positions)


def _common(vocabulary: int, hidden: int, layers: int, positions: int) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": positions,
        # Far above the usual 0.02, with which such a small model would answer every input alike.
        "initializer_range": 0.3,
        "tie_word_embeddings": False,
    }


# From the sizes of the vocabulary, the hidden states, the layers and the positions, and the width of windows.
ARCHITECTURES: dict[str, Callable[[int, int, int, int, int], Any]] = {
    "llama": _llama,
    "mistral": _mistral,
    "qwen2": _qwen2,
    "qwen3": _qwen3,
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
    "gemma2": _gemma2,
    "gemma3": _gemma3,
    "phi": _phi,
    "phi3": _phi3,
}
