"""Causal attention over packed sequences: one flash attention where there is one, torch's padded attention elsewhere.

Packed: the tokens of S sequences stand one behind the other, [N, heads, head_dim], without padding. Query i of a
sequence sees the sequence's keys 0 .. i, and before them those of a prompt that stands elsewhere and is shared:

    out_i = sum_j softmax_j(q_i . k_j / sqrt(head_dim)) v_j,    j over the prompt and 0 .. i

The kernels are not ours: flash-attn where it is installed, else the flash attention inside torch
(torch.nn.attention.varlen), both for half precision on CUDA; and SDPA, which pads, for everything else.
"""

import importlib.util
import inspect
from functools import cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor


@cache
def attention_backend(device_type: str, dtype: torch.dtype) -> str:
    """Which attention runs: on CUDA in half precision "flash_attn" (where installed) or "torch.nn.attention.varlen"
    (flash attention inside torch, since 2.10), else "sdpa" (padded). Chosen once; the trainers print it."""
    for package in ("flash_attn", "torch.nn.attention.varlen"):
        if device_type == "cuda" and dtype != torch.float32 and importlib.util.find_spec(package):
            return package
    return "sdpa"


@cache
def varlen_attention(package: str):
    """f(q [Nq, heads, hd], k, v [Nk, kv_heads, hd], cu_q, cu_k, max_q, max_k) -> [Nq, heads, hd], causal, with the last
    query of a sequence at its last key."""
    if package == "flash_attn":
        from flash_attn import flash_attn_varlen_func
        return partial(flash_attn_varlen_func, causal=True)
    from torch.nn.attention.varlen import varlen_attn
    known = inspect.signature(varlen_attn).parameters          # its keywords changed between torch 2.10 and 2.13
    causal = dict(window_size=(-1, 0)) if "window_size" in known else dict(is_causal=True)
    return partial(varlen_attn, **causal, **(dict(enable_gqa=True) if "enable_gqa" in known else {}))


class PackedAttention:
    """Causal attention over packed sequences, each of which may go on from a prompt that stands elsewhere.

    `sequences` lists (start, length, prompt_start, prompt_length) in packed order: queries are the tokens [start, start
    + length); keys are the prompt's tokens, then the queries' own. A prompt is a sequence too (prompt_length 0). So n
    responses share a prompt that runs once: only its keys and values are gathered n times, and the gather's backward
    adds the n gradients up. `dtype` is that of the queries, keys and values."""

    def __init__(self, sequences: list[tuple[int, int, int, int]], device: torch.device, dtype=torch.float32):
        start, q_len, prompt, prompt_len = torch.tensor(sequences).T                      # [S] each
        k_len = prompt_len + q_len
        self.max_q, self.max_k = int(q_len.max()), int(k_len.max())
        column = torch.arange(self.max_k)                                                   # [max_k]
        # Key c of sequence s is token prompt + c of the prompt, or token start + (c - prompt_len) of its own
        keys = torch.where(column < prompt_len[:, None], prompt[:, None] + column,
                           (start - prompt_len)[:, None] + column)                          # [S, max_k]
        real_key = column < k_len[:, None]                                                  # [S, max_k]
        self.backend = attention_backend(device.type, dtype)
        if self.backend != "sdpa":
            self.keys = keys[real_key].to(device)                                           # [sum of k_len]
            self.cu_q = F.pad(q_len.cumsum(0), (1, 0)).int().to(device)                     # [S + 1]
            self.cu_k = F.pad(k_len.cumsum(0), (1, 0)).int().to(device)                     # [S + 1]
            return
        row = torch.arange(self.max_q)                                                      # [max_q]
        real_query = row < q_len[:, None]                                                   # [S, max_q]
        self.keys = keys.where(real_key, 0).flatten().to(device)                            # [S * max_k]
        self.queries = (start[:, None] + row).where(real_query, 0).flatten().to(device)     # [S * max_q]
        self.unpad = real_query.flatten().nonzero().squeeze(1).to(device)                   # [N]
        # Query r stands at key prompt_len + r: it sees the keys up to there (padded queries see padding: discarded)
        self.mask = (column <= prompt_len[:, None, None] + row[:, None])[:, None].to(device)  # [S, 1, max_q, max_k]

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        k, v = k.index_select(0, self.keys), v.index_select(0, self.keys)
        if self.backend != "sdpa":
            return varlen_attention(self.backend)(q, k, v, self.cu_q, self.cu_k, self.max_q, self.max_k)
        S = self.mask.shape[0]
        q = q.index_select(0, self.queries)
        q, k, v = (x.unflatten(0, (S, -1)).transpose(1, 2) for x in (q, k, v))          # [S, heads, max_q or max_k, hd]
        out = F.scaled_dot_product_attention(q, k, v, self.mask, enable_gqa=True)           # [S, heads, max_q, hd]
        return out.transpose(1, 2).flatten(0, 1).index_select(0, self.unpad)                # [N, heads, hd]
