"""Draw one token per row from softmax(logits / temperature), and say its log-prob: a function of a counter.

An exponential race. Give every token v of a row an independent E_v ~ Exp(1). With weights w_v = e^{z_v},

    argmax_v w_v / E_v  is v with probability  w_v / sum_j w_j                                           (1)

since E_v / w_v is an exponential clock of rate w_v, and the first of several such clocks to ring is v with a
probability proportional to its rate. (In logarithms this is the Gumbel-max trick, argmax z_v - log E_v.)

Two rounds. A group of tokens is a clock too, with the rate s_g = sum of its w_v. So groups of 128 tokens race
first, with one E_g each, and then the tokens of the group that won:

    P(v) = s_g / s * w_v / s_g = w_v / s                                                                 (2)

The distribution is exact, and V / 128 + 128 random numbers do instead of V: the pass over the logits is a
mere log-sum-exp, and nothing that it does waits for a random number.

    group pass   reads all logits once: m_g = max x, s_g = sum e^{(x - m_g) / T} of every group
    draw         m = max m_g; race of the groups with s_g e^{(m_g - m) / T}; race of the winner's 128 tokens
    logprob      (x_token - m) / T - log s,  s = sum_g s_g e^{(m_g - m) / T}                             (3)

Randomness. E = -log(1 - u) with u in (0, 1) from 31 bits, fine near 0, where races are decided. The bits of
index v are a hash of v under a 64-bit key, and the key is a hash of (seed, step, sequence, position). Nothing
else matters: not the batch that a row sits in, nor its place there, nor the number of ranks (README.md,
contract 8). `_mix64` and `_random` are written once and run twice, on torch tensors and inside Triton, so the
reference draws what the kernel draws; only a race whose first two differ by a rounding error, 1e-6, can come
out differently.
"""
from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from kernels.dispatch import backend, check_matrix, check_rows, check_temperature, jit, tl, triton

GROUP = 128  # tokens that race together; it is part of what a draw is, no tuning parameter
TILE = 32  # groups that one program of the group pass reads: 4,096 logits


def _mix64(x):
    """A bijection of int64 after which every bit hangs on every bit: the finalizer of SplitMix64."""
    x = (x ^ ((x >> 30) & 0x3FFFFFFFF)) * -0x40A7B892E31B1A47  # & makes the arithmetic shift a logical one
    x = (x ^ ((x >> 27) & 0x1FFFFFFFFF)) * -0x6B2FB644ECCEEE15
    return x ^ ((x >> 31) & 0x1FFFFFFFF)


def _random(index, low, high):
    """u in (0, 1) for an int32 index under the int32 pair (low, high): multiply and fold, twice over."""
    x = (index ^ low) * 0x2C1B3C6D + high
    x = (x ^ ((x >> 16) & 0xFFFF)) * 0x21F0AAAD
    x = (x ^ ((x >> 15) & 0x1FFFF)) * 0x735A2D97
    x = (x ^ ((x >> 15) & 0x1FFFF)) & 0x7FFFFFFF  # 31 bits
    return (x + 0.5) * 4.656612596064501e-10  # the fp32 number below 2^-31: u < 1 where x rounds up to 2^31


_mix64_triton = jit(_mix64)
_random_triton = jit(_random)


def _keys(seed: int, step: int, sequences: Tensor, positions: Tensor) -> Tensor:
    """[B] int64, one per (seed, step, sequence, position): odd multipliers spread the four over 64 bits."""
    base = seed * 0x9E3779B97F4A7C15 + step * 0xD1342543DE82EF95
    base = (base + 2**63) % 2**64 - 2**63  # wrapped as int64 wraps
    return torch.add(sequences * 0x2545F4914F6CDD1D + base, positions, alpha=0x5851F42D4C957F2D)


def sample_tokens_reference(
    logits: Tensor, temperature: float, seed: int, step: int, sequences: Tensor, positions: Tensor
) -> tuple[Tensor, Tensor]:
    """The two rounds in plain torch. Arguments and results as sample_tokens."""
    B, V = logits.shape
    x = logits.to(torch.promote_types(logits.dtype, torch.float32))  # [B, V]
    m = x.amax(1, keepdim=True)  # [B, 1]
    if temperature == 0:
        token = x.argmax(1)  # [B], the first of equals
        return token, torch.log_softmax(x, 1).gather(1, token[:, None]).squeeze(1)
    key = _mix64(_keys(seed, step, sequences, positions))[:, None]  # [B, 1]
    low, high = key.to(torch.int32), (key >> 32).to(torch.int32)
    z = (x - m) / temperature  # [B, V]
    groups = -(-V // GROUP)
    w = pad(z.exp(), (0, groups * GROUP - V)).view(B, groups, GROUP)
    s = w.sum(2)  # [B, groups]
    group = torch.arange(groups, dtype=torch.int32, device=x.device)
    winner = (s / -torch.log1p(-_random(-1 - group, low, high))).argmax(1)  # [B]; groups: -1, -2, ..
    v = winner[:, None] * GROUP + torch.arange(GROUP, device=x.device)  # [B, GROUP]; tokens: 0, 1, ..
    w = w[torch.arange(B, device=x.device), winner]  # [B, GROUP]
    race = w / -torch.log1p(-_random(v.to(torch.int32), low, high))
    token = winner * GROUP + race.argmax(1)  # [B]
    return token, z.gather(1, token[:, None]).squeeze(1) - s.sum(1).log()


@jit
def _exponential(index, low, high):
    """E = -log(1 - u). Triton has no log1p: below u = 1/4 this is the series of 2 atanh(u / (2 - u))."""
    u = _random_triton(index, low, high)
    t = u / (2.0 - u)
    t2 = t * t
    series = 2.0 * t * (1.0 + t2 * (0.33333333 + t2 * (0.2 + t2 * (0.14285714 + t2 * 0.11111111))))
    return tl.where(u < 0.25, series, -tl.log(1.0 - u))


@jit
def _group_kernel(
    logits_ptr, row_stride, m_ptr, s_ptr, V, groups, inv_T, TILE: tl.constexpr, GROUP: tl.constexpr
):
    """Program (row, tile): m_g and s_g of TILE groups. No loop, so that even one row fills many programs."""
    row = tl.program_id(0).to(tl.int64)
    group = tl.program_id(1) * TILE + tl.arange(0, TILE)  # [TILE]
    column = group[:, None] * GROUP + tl.arange(0, GROUP)[None, :]  # [TILE, GROUP]
    x = tl.load(logits_ptr + row * row_stride + column, mask=column < V, other=-float("inf")).to(tl.float32)
    m = tl.max(x, axis=1)  # [TILE]
    base = tl.where(m == -float("inf"), 0.0, m)  # a group of -inf has s = 0, not NaN
    s = tl.sum(tl.exp((x - base[:, None]) * inv_T), axis=1)  # [TILE]
    tl.store(m_ptr + row * groups + group, m, mask=group < groups)
    tl.store(s_ptr + row * groups + group, s, mask=group < groups)


@jit
def _draw_kernel(
    logits_ptr, row_stride, m_ptr, s_ptr, key_ptr, token_ptr, logprob_ptr, V, groups, inv_T,
    GREEDY: tl.constexpr, GROUPS: tl.constexpr, GROUP: tl.constexpr,
):  # fmt: skip
    """One program a row: the race of its groups, then of the winner's tokens."""
    row = tl.program_id(0).to(tl.int64)
    key = _mix64_triton(tl.load(key_ptr + row))
    low = key.to(tl.int32)
    high = (key >> 32).to(tl.int32)
    group = tl.arange(0, GROUPS)  # GROUPS: groups rounded up to a power of two
    m_g = tl.load(m_ptr + row * groups + group, mask=group < groups, other=-float("inf"))  # [GROUPS]
    s_g = tl.load(s_ptr + row * groups + group, mask=group < groups, other=0.0)
    m = tl.max(m_g, axis=0)
    w_g = s_g * tl.exp((m_g - m) * inv_T)
    if GREEDY:
        winner = tl.argmax(m_g, axis=0)
    else:
        winner = tl.argmax(w_g / _exponential(-1 - group, low, high), axis=0)
    v = winner * GROUP + tl.arange(0, GROUP)  # [GROUP]
    x = tl.load(logits_ptr + row * row_stride + v, mask=v < V, other=-float("inf")).to(tl.float32)
    if GREEDY:
        place = tl.argmax(x, axis=0)
    else:
        place = tl.argmax(tl.exp((x - m) * inv_T) / _exponential(v, low, high), axis=0)
    token = tl.minimum(winner * GROUP + place, V - 1)  # in range even where every score is NaN
    x_token = tl.load(logits_ptr + row * row_stride + token).to(tl.float32)
    tl.store(token_ptr + row, token.to(tl.int64))
    tl.store(logprob_ptr + row, (x_token - m) * inv_T - tl.log(tl.sum(w_g, axis=0)))


def _sample_tokens_triton(logits, temperature, seed, step, sequences, positions):
    B, V = logits.shape
    groups = triton.cdiv(V, GROUP)
    logits = logits if logits.stride(1) == 1 else logits.contiguous()
    m_g, s_g = torch.empty((2, B, groups), dtype=torch.float32, device=logits.device)
    token, logprob = torch.empty_like(sequences), torch.empty_like(sequences, dtype=torch.float32)  # [B], [B]
    keys = _keys(seed, step, sequences, positions)
    inv_T = 1.0 if temperature == 0 else 1 / temperature
    if B:
        with torch.cuda.device_of(logits):  # Triton launches on the current device
            _group_kernel[(B, triton.cdiv(groups, TILE))](
                logits, logits.stride(0), m_g, s_g, V, groups, inv_T, TILE=TILE, GROUP=GROUP, num_warps=4
            )
            _draw_kernel[(B,)](
                logits, logits.stride(0), m_g, s_g, keys, token, logprob, V, groups, inv_T,
                GREEDY=temperature == 0, GROUPS=max(16, triton.next_power_of_2(groups)), GROUP=GROUP,
                num_warps=4,
            )  # fmt: skip
    return token, logprob


def sample_tokens(
    logits: Tensor, temperature: float, seed: int, step: int, sequences: Tensor, positions: Tensor
) -> tuple[Tensor, Tensor]:
    """Draw a token per row from softmax(logits / temperature).

    logits [B, V] fp32, bf16 or fp16 (float64 for judging); -inf is never drawn. temperature > 0, or 0 for
    greedy: the largest logit, the first of equals, with its log-prob at temperature 1. sequences [B] and
    positions [B] int64 name the rows: with seed and step they fix each draw, wherever its row stands. Returns
    (token [B] int64, its log-prob in nats at the temperature [B] fp32, or float64 for float64). A row with
    NaN draws any token, with the log-prob NaN. Not differentiable. Raises ValueError or TypeError on bad
    input, before any launch.
    """
    check_matrix("logits", logits)
    check_rows("sequences", sequences, logits)
    check_rows("positions", positions, logits)
    if temperature != 0:
        check_temperature(temperature)
    draw = _sample_tokens_triton if backend(logits) == "triton" else sample_tokens_reference
    with torch.no_grad():
        return draw(logits, temperature, seed, step, sequences, positions)
