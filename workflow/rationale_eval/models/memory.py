"""Lack of memory, told from other errors."""

from __future__ import annotations

import torch

# What PyTorch says where it has no class of its own for it: a CPU's allocator, the driver, and cuBLAS of its workspace.
_MESSAGES = (
    "DefaultCPUAllocator: can't allocate memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


def lacks_memory(error: RuntimeError) -> bool:
    """Whether a GPU's memory or the machine's ran out."""
    return isinstance(error, torch.OutOfMemoryError) or any(message in str(error) for message in _MESSAGES)
