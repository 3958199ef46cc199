"""Which implementation runs for a tensor, and the checks that every kernel makes before it launches.

Triton on CUDA; plain torch, the "reference", elsewhere. With TRITON_INTERPRET=1 in the environment before
Triton is imported, the real kernels run on CPU tensors too, one Python-interpreted program after another:
slow, and the way to debug them. float64 is for judging, and goes through the reference everywhere.
`backend(tensor)` says which one runs.
"""
from __future__ import annotations

import torch

try:
    import triton
    import triton.language as tl
except ImportError:  # Triton has no wheel for macOS: there the references do the work
    triton = tl = None

INTERPRET = triton is not None and triton.knobs.runtime.interpret  # read once, at import, as triton.jit does
DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


def jit(kernel):
    """triton.jit where there is Triton; elsewhere the function as it is, which nobody calls."""
    return kernel if triton is None else triton.jit(kernel)


def backend(tensor: torch.Tensor) -> str:
    """ "triton" or "reference": what the public functions of this package run for such a tensor."""
    if triton is None or tensor.dtype == torch.float64:
        return "reference"
    return "triton" if tensor.is_cuda or INTERPRET else "reference"


def check_matrix(name: str, matrix: torch.Tensor) -> None:
    if matrix.ndim != 2 or matrix.shape[1] == 0:
        raise ValueError(f"{name} must be a matrix with at least one column, got shape {tuple(matrix.shape)}")
    if matrix.dtype not in DTYPES:
        raise TypeError(f"{name} must be one of {', '.join(map(str, DTYPES))}, got {matrix.dtype}")


def check_rows(name: str, index: torch.Tensor, matrix: torch.Tensor) -> None:
    """One int64 per row of the matrix, on its device."""
    if index.shape != matrix.shape[:1]:
        raise ValueError(f"{name} must have shape ({len(matrix)},), one per row, got {tuple(index.shape)}")
    if index.dtype != torch.int64:
        raise TypeError(f"{name} must be torch.int64, got {index.dtype}")
    if index.device != matrix.device:
        raise ValueError(f"{name} is on {index.device}, the rows it belongs to are on {matrix.device}")


def check_targets(targets: torch.Tensor, matrix: torch.Tensor, vocabulary: int) -> None:
    """One token id below `vocabulary` per row. Reading the range waits for the GPU, once a call."""
    check_rows("targets", targets, matrix)
    if len(targets):
        low, high = torch.stack(torch.aminmax(targets)).tolist()
        if low < 0 or high >= vocabulary:
            raise ValueError(f"targets must lie in 0 .. {vocabulary - 1}, got {low} .. {high}")


def check_temperature(temperature: float) -> None:
    if not 0 < temperature < float("inf"):
        raise ValueError(f"temperature must be positive and finite, got {temperature}")
