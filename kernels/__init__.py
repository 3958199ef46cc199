"""The vocabulary head in three fused functions; attention, packed and cached. README.md beside this file says why."""
from kernels.decode_attention import decode_attention
from kernels.dispatch import backend
from kernels.linear import head_logits, linear_logprob_entropy
from kernels.logits import logprob_entropy
from kernels.packed_attention import PackedAttention, attention_backend
from kernels.sampling import sample_tokens

__all__ = [
    "PackedAttention", "attention_backend", "backend", "decode_attention", "head_logits", "linear_logprob_entropy",
    "logprob_entropy", "sample_tokens",
]  # fmt: skip
