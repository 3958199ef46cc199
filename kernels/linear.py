"""Log-probs and entropies straight from hidden states: the logits of all tokens never exist at once."""
from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from kernels.dispatch import check_matrix, check_targets, check_temperature
from kernels.logits import logprob_entropy_reference

CPU_LOGITS = 2**20  # logits that exist at once on CPU: 4 MB in fp32, about what its caches hold


def head_logits(hidden: Tensor, weight: Tensor) -> Tensor:
    """hidden [N, D] @ weight [V, D].T -> logits [N, V] in fp32, whatever the input dtype."""
    dtype = torch.promote_types(hidden.dtype, torch.float32)
    return hidden.to(dtype) @ weight.to(dtype).T


def _scored(hidden: Tensor, weight: Tensor, targets: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    return logprob_entropy_reference(head_logits(hidden, weight), targets, temperature)


def linear_logprob_entropy_reference(
    hidden: Tensor, weight: Tensor, targets: Tensor, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """A few rows at a time in plain torch; checkpointing recomputes their logits in the backward."""
    n = max(1, CPU_LOGITS // len(weight))  # rows
    parts = [checkpoint(_scored, h, weight, y, temperature, use_reentrant=False, preserve_rng_state=False)
             for h, y in zip(hidden.split(n), targets.split(n))]  # of [n], [n]
    logprob, entropy = map(torch.cat, zip(*parts))
    return logprob, entropy


def linear_logprob_entropy(
    hidden: Tensor, weight: Tensor, targets: Tensor, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """hidden [N, D], weight [V, D], targets [N] int64 -> (log p(target) [N], entropy [N]), fp32, differentiable."""
    check_matrix("hidden", hidden)
    check_matrix("weight", weight)
    if hidden.shape[1] != weight.shape[1]:
        raise ValueError(f"hidden {tuple(hidden.shape)} and weight {tuple(weight.shape)} differ in width")
    if (hidden.dtype, hidden.device) != (weight.dtype, weight.device):
        raise TypeError(f"hidden is {hidden.dtype} on {hidden.device}, weight {weight.dtype} on {weight.device}")
    check_targets(targets, hidden, len(weight))
    check_temperature(temperature)
    return linear_logprob_entropy_reference(hidden, weight, targets, temperature)
