"""Log-prob of a target and entropy of the whole distribution, from logits."""
from __future__ import annotations

import torch
from torch import Tensor

from kernels.dispatch import check_matrix, check_targets, check_temperature


def logprob_entropy_reference(logits: Tensor, targets: Tensor, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
    """The definition in plain torch; autograd differentiates it. Arguments and results as logprob_entropy."""
    dtype = torch.promote_types(logits.dtype, torch.float32)
    logp = torch.log_softmax(logits.to(dtype) / temperature, dim=1)  # [N, V]
    logprob = logp.gather(1, targets[:, None]).squeeze(1)  # [N]
    # 0 * log 0 is 0, not NaN: where log p < -1000, p is 0 in float64 and fp32 alike.
    entropy = -torch.linalg.vecdot(logp.exp(), logp.clamp_min(-1e3))  # [N]
    return logprob, entropy


def logprob_entropy(logits: Tensor, targets: Tensor, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
    """logits [N, V], targets [N] int64 -> (log p(target) [N], entropy [N]) of softmax(logits / temperature), fp32."""
    check_matrix("logits", logits)
    check_targets(targets, logits, logits.shape[1])
    check_temperature(temperature)
    return logprob_entropy_reference(logits, targets, temperature)
