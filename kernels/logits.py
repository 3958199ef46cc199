"""Log-prob of a target and entropy of the whole distribution, from logits: one pass over memory each way.

Symbols, for one row x [V] with target y at temperature T:

    m = max_j x_j                     z_j = (x_j - m) / T
    s = sum_j e^{z_j}                 u = sum_j e^{z_j} z_j
    log p_j = z_j - log s             logprob = log p_y                                                  (1)
    H = -sum_j p_j log p_j = log s - u / s                                                               (2)

Forward. m is not known before the row has been read, so (m, s, u) are kept for the part read so far. When a
block raises the maximum from m to m', every z of the past moves by delta = (m - m') / T <= 0:

    s <- e^delta s + sum_block e^z    u <- e^delta (u + s delta) + sum_block e^z z                       (3)

A logit of -inf has e^z = 0 and adds nothing to u: in the product 0 * -inf, z is replaced by 0. The state can
be put down after any column and taken up again; linear.py feeds it the vocabulary in chunks. Subtracting m
before dividing by T keeps z exact for logits far from zero.

Backward. With g = dL/dlogprob, h = dL/dH, dlogprob/dz_j = [j = y] - p_j and dH/dz_j = -p_j (log p_j + H):

    dL/dx_j = ( [j = y] g - p_j (g + h (log p_j + H)) ) / T                                              (4)

p_j is recomputed from the saved m and s, so one read of x and one write of dL/dx serve both gradients.
"""
from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from kernels.dispatch import backend, check_matrix, check_targets, check_temperature, jit, tl, triton

BLOCK = 4096  # columns that a program holds in registers at once: 16 per thread of 8 warps


def logprob_entropy_reference(
    logits: Tensor, targets: Tensor, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Equations (1) and (2) in plain torch; autograd differentiates them. In and out as logprob_entropy."""
    dtype = torch.promote_types(logits.dtype, torch.float32)
    logp = torch.log_softmax(logits.to(dtype) / temperature, dim=1)  # [N, V]
    logprob = logp.gather(1, targets[:, None]).squeeze(1)  # [N]
    # 0 * log 0 is 0, not NaN: where log p < -1000, p is 0 in float64 and fp32 alike.
    entropy = -torch.linalg.vecdot(logp.exp(), logp.clamp_min(-1e3))  # [N]
    return logprob, entropy


@jit
def _forward_kernel(
    logits_ptr, row_stride, targets_ptr, state_ptr, logprob_ptr, entropy_ptr, N, V, first, inv_T,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """One program a row: (3) over the columns of tokens first .. first + V - 1, then (1) and (2) so far."""
    row = tl.program_id(0).to(tl.int64)  # row * row_stride exceeds 2^31
    logits_ptr += row * row_stride
    state_ptr += row  # state [4, N]: m, s, u, x_y
    m = tl.load(state_ptr)
    s = tl.load(state_ptr + N)
    u = tl.load(state_ptr + 2 * N)
    x_y = tl.load(state_ptr + 3 * N)
    for start in range(0, V, BLOCK):
        column = start + tl.arange(0, BLOCK)
        x = tl.load(logits_ptr + column, mask=column < V, other=-float("inf")).to(tl.float32)  # [BLOCK]
        new_m = tl.maximum(m, tl.max(x, axis=0))
        base = tl.where(new_m == -float("inf"), 0.0, new_m)  # only -inf so far: -inf - -inf would be NaN
        delta = tl.where(s > 0, (m - base) * inv_T, 0.0)
        z = (x - base) * inv_T
        e = tl.exp(z)
        u = tl.exp(delta) * (u + s * delta) + tl.sum(e * tl.where(e > 0, z, 0.0), axis=0)
        s = tl.exp(delta) * s + tl.sum(e, axis=0)
        m = new_m
    y = tl.load(targets_ptr + row) - first
    here = (y >= 0) & (y < V)
    x_y = tl.where(here, tl.load(logits_ptr + y, mask=here, other=0.0).to(tl.float32), x_y)
    tl.store(state_ptr, m)
    tl.store(state_ptr + N, s)
    tl.store(state_ptr + 2 * N, u)
    tl.store(state_ptr + 3 * N, x_y)
    tl.store(logprob_ptr + row, (x_y - m) * inv_T - tl.log(s))
    tl.store(entropy_ptr + row, tl.log(s) - u / s)


@jit
def _backward_kernel(
    logits_ptr, row_stride, targets_ptr, state_ptr, entropy_ptr, g_ptr, h_ptr, out_ptr, out_stride,
    N, V, first, inv_T, BLOCK: tl.constexpr,
):  # fmt: skip
    """One program a row and block: equation (4). out may be logits: each element is read, then written."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(logits_ptr + row * row_stride + column, mask=column < V, other=-float("inf")).to(tl.float32)
    m = tl.load(state_ptr + row)
    s = tl.load(state_ptr + N + row)
    H = tl.load(entropy_ptr + row)
    g = tl.load(g_ptr + row)
    h = tl.load(h_ptr + row)
    y = tl.load(targets_ptr + row) - first
    log_p = (x - m) * inv_T - tl.log(s)
    p = tl.exp(log_p)
    d = tl.where(column == y, g, 0.0) - p * (g + h * tl.where(p > 0, log_p + H, 0.0))
    tl.store(out_ptr + row * out_stride + column, (d * inv_T).to(out_ptr.dtype.element_ty), mask=column < V)


def fresh_state(targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """-> state [4, N] (m, s, u, x_y) before any column has been read; logprob [N] and entropy [N], unset."""
    state = targets.new_zeros((4, len(targets)), dtype=torch.float32)
    state[0] = -torch.inf
    return state, torch.empty_like(state[0]), torch.empty_like(state[0])


def _block(V: int) -> dict[str, int]:
    """A row shorter than BLOCK gets a smaller block, and always 16 columns a thread."""
    block = min(BLOCK, triton.next_power_of_2(max(V, 512)))
    return {"BLOCK": block, "num_warps": block // 512}


def forward_columns(logits, targets, state, logprob, entropy, temperature, first=0) -> None:
    """Takes state, logprob and entropy on by the columns `logits` [N, V] of tokens first, first + 1, .."""
    N, V = logits.shape
    if N:
        with torch.cuda.device_of(logits):  # Triton launches on the current device
            _forward_kernel[(N,)](
                logits, logits.stride(0), targets, state, logprob, entropy,
                N, V, first, 1 / temperature, **_block(V),
            )  # fmt: skip


def backward_columns(logits, targets, state, entropy, g, h, temperature, out, first=0) -> None:
    """Writes dL/dlogits [N, V] of these columns to out, which may be logits; g and h [N] as in (4)."""
    N, V = logits.shape
    if N:
        with torch.cuda.device_of(logits):
            blocks = _block(V)
            _backward_kernel[(N, triton.cdiv(V, blocks["BLOCK"]))](
                logits, logits.stride(0), targets, state, entropy, g.contiguous(), h.contiguous(),
                out, out.stride(0), N, V, first, 1 / temperature, **blocks,
            )  # fmt: skip


class _LogprobEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, targets, temperature, overwrite_logits):
        logits = logits if logits.stride(1) == 1 else logits.contiguous()  # rows may be strided, columns not
        targets = targets.contiguous()
        state, logprob, entropy = fresh_state(targets)
        forward_columns(logits, targets, state, logprob, entropy, temperature)
        ctx.save_for_backward(logits, targets, state, entropy)
        ctx.temperature, ctx.overwrite_logits = temperature, overwrite_logits
        return logprob, entropy

    @staticmethod
    @once_differentiable
    def backward(ctx, g, h):
        logits, targets, state, entropy = ctx.saved_tensors
        out = logits if ctx.overwrite_logits else torch.empty_like(logits)  # [N, V]
        backward_columns(logits, targets, state, entropy, g, h, ctx.temperature, out)
        if ctx.overwrite_logits:  # autograd now refuses whoever saved the logits and still wants to read them
            torch.autograd.graph.increment_version(logits)
        return out, None, None, None


def logprob_entropy(
    logits: Tensor, targets: Tensor, temperature: float = 1.0, *, overwrite_logits: bool = False
) -> tuple[Tensor, Tensor]:
    """log p(target) and entropy, in nats, of softmax(logits / temperature), row by row.

    logits [N, V] fp32, bf16 or fp16 on any device (float64 for judging); targets [N] int64 in 0 .. V - 1.
    Returns (logprob [N], entropy [N]) in fp32 (float64 for float64), both differentiable. A row that holds
    NaN, +inf or nothing but -inf gives NaN. overwrite_logits allows the kernel's backward to put the gradient
    where the logits were; the reference has no use for that permission. Raises ValueError or TypeError on bad
    input, before any launch; checking the range of targets waits for the GPU once.
    """
    check_matrix("logits", logits)
    check_targets(targets, logits, logits.shape[1])
    check_temperature(temperature)
    if overwrite_logits and logits.requires_grad and (logits.is_leaf or logits.stride(0) < logits.shape[1]):
        raise ValueError("overwrite_logits needs logits that are no leaf and whose rows do not overlap")
    if backend(logits) == "triton":
        return _LogprobEntropy.apply(logits, targets, temperature, overwrite_logits)
    return logprob_entropy_reference(logits, targets, temperature)
