"""Log-probs and entropies straight from hidden states: the logits of all tokens never exist at once.

logits = hidden @ weight.T is [N, V]: 14.6 GB in fp32 for N = 24,000 tokens and V = 151,936 words. The
equations are those of logits.py; this file decides when its columns exist.

Forward. The vocabulary is cut into chunks of c columns. For each, cuBLAS makes the logits [N, c], and the row
state (m, s, u) of logits.py is taken on by c columns; then the chunk is gone. Kept for the backward: the
inputs and five numbers a row.

Backward. For each chunk the logits [N, c] are made again, equation (4) of logits.py turns them into d =
dL/dlogits [N, c], and

    dL/dweight[chunk] = d.T @ hidden  [c, D]        dL/dhidden += d @ weight[chunk]  [N, D]              (5)

8 N V D operations in all: 2 forward, 2 for making the logits again, 4 for (5).

Why cuBLAS and chunks, and not a Triton matmul that recomputes tiles: it is the simpler one, cuBLAS is the
faster matmul, and what chunks add is one trip of their logits through memory. Why the vocabulary is cut, and
not the tokens: one of the two gradients is a sum over chunks, read and written once for each. Cut by tokens
it is dL/dweight, V x D; cut by vocabulary it is dL/dhidden, N x D, six times smaller at N = 24,000 and small
enough to be summed in fp32. Then every row of dL/dweight is one matmul, rounded once, and the shapes [N, D] @
[D, c] fill a GPU where [n, V] @ [V, D] with few rows n do not. This is arithmetic, not yet a measurement: see
README.md.

The logits are fp32 although the inputs may be bf16. cuBLAS sums in fp32 anyway, and rounding a logit of 20 to
bf16 moves it by up to 0.06, more than an update of the policy does. `head_logits` is the one definition of
these logits; who samples from it samples what is scored (README.md, contract 7).

Memory beyond the gradients at N = 24,000, D = 1,536, V = 151,936 in bf16, derived from the shapes with c =
2,048: the chunk 197 MB in fp32, d 98 MB in bf16, dL/dhidden 147 MB in fp32: 0.44 GB at most at once. (The
product that is added to dL/dhidden, 147 MB, comes when the chunk is gone.)
"""
from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from kernels.dispatch import backend, check_matrix, check_targets, check_temperature
from kernels.logits import backward_columns, forward_columns, fresh_state, logprob_entropy_reference

CHUNK = 48 * 2**20  # logits that exist at once on a GPU: 201 MB in fp32
CPU_CHUNK = 2**18  # and on a CPU: 1 MB in fp32, about what a core's cache holds,
CPU_ROWS = 64  # but of this many tokens at least: all of a large weight is read for each chunk


def _mm32(a: Tensor, b: Tensor) -> Tensor:
    """a @ b in fp32, also of bf16 and fp16 (float64 stays). Autocast would undo that, so it is off here."""
    with torch.autocast(a.device.type, enabled=False):
        if a.is_cuda and a.dtype in (torch.bfloat16, torch.float16):
            return torch.mm(a, b, out_dtype=torch.float32)
        dtype = torch.promote_types(a.dtype, torch.float32)
        return a.to(dtype) @ b.to(dtype)


def head_logits(hidden: Tensor, weight: Tensor) -> Tensor:
    """hidden [N, D], weight [V, D] -> logits [N, V] in fp32 from any input dtype; for use under no_grad."""
    return _mm32(hidden, weight.T)


def _scored(hidden: Tensor, weight: Tensor, targets: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    return logprob_entropy_reference(hidden @ weight.T, targets, temperature)


def linear_logprob_entropy_reference(
    hidden: Tensor, weight: Tensor, targets: Tensor, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Plain torch, n rows at a time, so that on a CPU their logits stay in the caches; checkpoint makes them
    again in the backward. In and out as linear_logprob_entropy."""
    dtype = torch.promote_types(hidden.dtype, torch.float32)
    hidden, weight = hidden.to(dtype), weight.to(dtype)  # outside the loop: gradients add up in fp32 too
    n = max(CPU_ROWS, CPU_CHUNK // len(weight))
    parts = [  # of ([n], [n])
        checkpoint(_scored, h, weight, y, temperature, use_reentrant=False, preserve_rng_state=False)
        for h, y in zip(hidden.split(n), targets.split(n))
    ]
    logprob, entropy = map(torch.cat, zip(*parts))  # [N], [N]
    return logprob, entropy


def _column_chunks(rows: int, vocabulary: int) -> list[tuple[int, int]]:
    """(first, last + 1) of each chunk: at most CHUNK logits, in whole 128s of columns (at least one)."""
    c = max(128, CHUNK // max(rows, 1) // 128 * 128)
    return [(first, min(first + c, vocabulary)) for first in range(0, vocabulary, c)]


class _LinearLogprobEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden, weight, targets, temperature):
        targets = targets.contiguous()
        state, logprob, entropy = fresh_state(targets)
        for first, last in _column_chunks(len(hidden), len(weight)):
            logits = head_logits(hidden, weight[first:last])  # [N, c] fp32
            forward_columns(logits, targets, state, logprob, entropy, temperature, first)
            del logits  # before the next chunk is allocated
        ctx.save_for_backward(hidden, weight, targets, state, entropy)
        ctx.temperature = temperature
        return logprob, entropy

    @staticmethod
    @once_differentiable
    def backward(ctx, g, h):
        hidden, weight, targets, state, entropy = ctx.saved_tensors
        need_dhidden, need_dweight = ctx.needs_input_grad[:2]
        dhidden = torch.zeros_like(hidden, dtype=torch.float32) if need_dhidden else None  # [N, D], a sum
        dweight = torch.empty_like(weight) if need_dweight else None  # [V, D], every row written once
        for first, last in _column_chunks(len(hidden), len(weight)):
            logits = head_logits(hidden, weight[first:last])  # [N, c] fp32
            in_place = weight.dtype == torch.float32
            d = logits if in_place else torch.empty_like(logits, dtype=weight.dtype)  # [N, c]
            backward_columns(logits, targets, state, entropy, g, h, ctx.temperature, d, first)
            del logits  # before anything else is allocated
            if need_dweight:
                torch.mm(d.T, hidden, out=dweight[first:last])
            if need_dhidden:
                dhidden += _mm32(d, weight[first:last])
            del d
        return None if dhidden is None else dhidden.to(hidden.dtype), dweight, None, None


def linear_logprob_entropy(
    hidden: Tensor, weight: Tensor, targets: Tensor, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """log p(target) and entropy, in nats, of softmax(hidden @ weight.T / temperature), row by row.

    hidden [N, D] and weight [V, D] of one dtype (fp32, bf16 or fp16; float64 for judging) on one device;
    targets [N] int64 in 0 .. V - 1. Returns (logprob [N], entropy [N]) in fp32 (float64 for float64),
    differentiable in hidden and weight; their gradients have the inputs' dtype. A tied head is nothing
    special: pass the embedding's weight, and autograd adds the two gradients. Under no_grad nothing is kept.
    Raises ValueError or TypeError on bad input, before any launch; checking the range of targets waits for
    the GPU once.
    """
    check_matrix("hidden", hidden)
    check_matrix("weight", weight)
    if hidden.shape[1] != weight.shape[1] or len(weight) == 0:
        raise ValueError(f"hidden [N, D] is {tuple(hidden.shape)}, weight [V, D] is {tuple(weight.shape)}")
    if (hidden.dtype, hidden.device) != (weight.dtype, weight.device):
        raise TypeError(
            f"hidden is {hidden.dtype} on {hidden.device}, weight is {weight.dtype} on {weight.device}"
        )
    check_targets(targets, hidden, len(weight))
    check_temperature(temperature)
    if backend(hidden) == "triton":
        return _LinearLogprobEntropy.apply(hidden, weight, targets, temperature)
    return linear_logprob_entropy_reference(hidden, weight, targets, temperature)
