"""Draw a token from softmax(logits / temperature) by counter, and say its log-prob."""
from __future__ import annotations

import torch
from torch import Tensor

from kernels.dispatch import check_matrix, check_rows, check_temperature

GROUP = 256  # consecutive tokens that race together; part of the definition of a draw
U_SCALE = (2**24 - 1) * 2**-55  # the fp32 number below 2^-31: keeps u < 1 where float(h) rounds up to 2^31


def _mix64(x):
    """Bijection of 64-bit integers after which every bit depends on every bit (SplitMix64's finalizer)."""
    x = (x ^ ((x >> 30) & 0x3FFFFFFFF)) * -0x40A7B892E31B1A47
    x = (x ^ ((x >> 27) & 0x1FFFFFFFFF)) * -0x6B2FB644ECCEEE15
    return x ^ ((x >> 31) & 0x1FFFFFFFF)


def _bits(x, low, high):
    """31 random bits (int32 >= 0) for index x (int32) under the 64-bit key (low, high): two keyed mixing rounds."""
    x = x ^ low
    x = (x ^ ((x >> 16) & 0xFFFF)) * 0x21F0AAAD
    x = (x ^ ((x >> 15) & 0x1FFFF)) + high
    x = x * 0x735A2D97
    return (x ^ ((x >> 15) & 0x1FFFF)) & 0x7FFFFFFF


def _row_counters(seed: int, step: int, sequences: Tensor, positions: Tensor) -> Tensor:
    base = (seed * 0x9E3779B97F4A7C15 + step * 0xD1342543DE82EF95 + 2**63) % 2**64 - 2**63  # int64, wrapped
    return torch.add(sequences * -0x2D7D44AA5B39F4B5 + base, positions, alpha=0x5851F42D4C957F2D)


def _exponentials(index: Tensor, low: Tensor, high: Tensor) -> Tensor:
    u = _bits(index, low[:, None], high[:, None]).float().add_(0.5).mul_(U_SCALE)  # in (0, 1)
    return u.neg_().log1p_().neg_()


def sample_tokens_reference(logits, temperature, seed, step, sequences, positions):
    z = logits.float()  # [B, V]
    if temperature == 0:
        token = z.argmax(1)
        return token, torch.log_softmax(z, 1).gather(1, token[:, None]).squeeze(1)
    rows, vocabulary = z.shape
    key = _mix64(_row_counters(seed, step, sequences, positions))
    low, high = key.to(torch.int32), (key >> 32).to(torch.int32)
    z = (z - z.amax(1, keepdim=True)) / temperature  # [B, V]
    groups = -(-vocabulary // GROUP)
    w = torch.nn.functional.pad(z.exp(), (0, groups * GROUP - vocabulary)).view(rows, groups, GROUP)
    s = w.sum(2)  # [B, groups]
    group = torch.arange(groups, dtype=torch.int32, device=z.device)
    chosen = (s / _exponentials(-1 - group, low, high)).argmax(1)  # [B]
    index = chosen[:, None] * GROUP + torch.arange(GROUP, device=z.device)  # [B, GROUP]
    race = w[torch.arange(rows, device=z.device), chosen] / _exponentials(index.int(), low, high)
    token = chosen * GROUP + race.argmax(1)
    return token, z.gather(1, token[:, None]).squeeze(1) - s.sum(1).log()


def sample_tokens(
    logits: Tensor, temperature: float, seed: int, step: int, sequences: Tensor, positions: Tensor
) -> tuple[Tensor, Tensor]:
    """logits [B, V] -> (token [B] int64, its log-prob at the temperature [B] fp32). Temperature 0 is greedy."""
    check_matrix("logits", logits)
    check_rows("sequences", sequences, logits)
    check_rows("positions", positions, logits)
    if temperature != 0:
        check_temperature(temperature)
    return sample_tokens_reference(logits, temperature, seed, step, sequences, positions)
