"""Attention of one new token per row over cached keys: those of a prompt that rows share, then the row's own.

For a query q [hd] of row r, kept as is, over its keys k_j and values v_j [hd], j = 0 .. n - 1,

    x_j = q . k_j / sqrt(hd)      out = sum_j e^{x_j} v_j / sum_j e^{x_j}                                (1)

where j < prompt_length[r] are the keys of prompt number prompt[r], and the others the row's own.

Online softmax (Milakov and Gimelshein, arXiv 1805.02867). No score is ever written to memory: a program keeps
m = max x_j, l = sum e^{x_j - m} and acc = sum e^{x_j - m} v_j [hd], all fp32, over the keys read so far. When a
tile of keys raises the maximum from m to m',

    l <- e^{m - m'} l + sum_tile e^{x - m'}      acc <- e^{m - m'} acc + sum_tile e^{x - m'} v           (2)

Splits (flash-decoding, Dao, Haziza, Massa and Sizov 2023). A row and kv head are one program, which for one row
of two kv heads leaves 130 of an H200's 132 multiprocessors idle. So the n keys are cut into S runs, a program
each, and a second kernel puts the runs together: of run s it needs out_s = acc / l and z_s = m + log l,

    out = sum_s e^{z_s} out_s / sum_s e^{z_s}                                                            (3)

S follows from shapes alone, so that nothing waits for the GPU and a CUDA graph can be replayed while lengths,
which are tensors, change. Where a run begins follows from n: a row of 70 keys has two runs of at most 64, and
its other programs return at once. Rows times kv heads that fill the card have S = 1, and write out directly.
(3) rounds otherwise than (2), so with S a row's last bits depend on how many rows decode beside it.

Grouped heads. The heads / kv_heads queries that read the same keys are the rows of one matrix product, filled up
to the 16 rows that it needs at least: a key is read once for all of them. At 16 x 4 operations for each 2 or 4
bytes of cache this is bound by memory all the same.

The shared prompt. Bytes of keys and values that a step reads, Qwen2.5-Math-1.5B in bf16 (28 layers, 2 kv heads
of 128: 28,672 bytes a token), 1,024 rows of one 170-token prompt with 300 own tokens each:

    prompt copied into each row    1,024 x (170 + 300) x 28,672     13.8 GB read, of them 5.0 GB the prompt
    prompt read through prompt[r]  1,024 x 300 x 28,672 + 170 x ..   8.8 GB read, of them 5 MB the prompt

One layer's prompt is 174 KB: the first rows bring it into the L2 cache (50 MB), where all others find it. And
the 5.0 GB are free for more rows.
"""
from __future__ import annotations

import torch
from torch import Tensor

from kernels.dispatch import DTYPES, INTERPRET, backend, check_rows, jit, tl, triton

TILE_BYTES = 16384  # keys that a program reads at once: 64 of 128 numbers in bf16; and as much for the values
COMBINE = 32  # columns of out that a program of the second kernel makes
INTERPRETED = None if tl is None else tl.constexpr(INTERPRET)  # a form that kernels can read


def decode_attention_reference(
    q: Tensor, prompt_k: Tensor, prompt_v: Tensor, prompt: Tensor, prompt_length: Tensor,
    k: Tensor, v: Tensor, length: Tensor,
) -> Tensor:  # fmt: skip
    """Equation (1) in plain torch, every prompt copied to its rows. In and out as decode_attention."""
    dtype = torch.promote_types(q.dtype, torch.float32)
    P, C = prompt_k.shape[2], k.shape[2]
    real = torch.cat(  # [R, 1, P + C]
        [torch.arange(size, device=q.device) < n[:, None, None] for size, n in ((P, prompt_length), (C, length))], 2
    )
    keys = torch.cat((prompt_k[prompt], k), 2).to(dtype)  # [R, kv_heads, P + C, hd]
    values = torch.cat((prompt_v[prompt], v), 2).masked_fill_(~real[..., None], 0).to(dtype)  # 0 * NaN is NaN
    x = q.to(dtype).unflatten(1, (k.shape[1], -1)) @ keys.mT / q.shape[2] ** 0.5  # [R, kv_heads, group, P + C]
    hidden = ~real[:, None]  # [R, 1, 1, P + C]
    p = x.masked_fill_(hidden, -torch.inf).softmax(3).masked_fill(hidden, 0)  # a row without keys: 0, not NaN
    return (p @ values).flatten(1, 2).to(q.dtype)


@jit
def _dot(a, b):
    """a @ b, summed in fp32; "ieee" keeps fp32 inputs from TF32. The interpreter would multiply the bits of bf16
    numbers as integers: there they become fp32 first, which changes no product."""
    if INTERPRETED:
        a = a.to(tl.float32)
        b = b.to(tl.float32)
    return tl.dot(a, b, input_precision="ieee")


@jit
def _read_keys(
    q, k_ptr, k_stride, v_ptr, v_stride, first, last, scale, m, l, acc,
    HD: tl.constexpr, D: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Takes (m, l, acc) of (2) on by the keys first .. last - 1; nothing beyond them is read."""
    d = tl.arange(0, D)
    for start in range(first, last, BLOCK):
        key = start + tl.arange(0, BLOCK)
        offset = key.to(tl.int64)[:, None]
        real = (key < last)[:, None] & (d < HD)[None, :]  # [BLOCK, D]
        k = tl.load(k_ptr + offset * k_stride + d[None, :], mask=real, other=0.0)
        x = _dot(q, tl.trans(k)) * scale  # [GROUP, BLOCK]
        x = tl.where((key < last)[None, :], x, -float("inf"))
        new_m = tl.maximum(m, tl.max(x, axis=1))  # finite: a tile has at least one key
        p = tl.exp(x - new_m[:, None])
        past = tl.exp(m - new_m)
        v = tl.load(v_ptr + offset * v_stride + d[None, :], mask=real, other=0.0)
        l = l * past + tl.sum(p, axis=1)
        acc = acc * past[:, None] + _dot(p.to(v.dtype), v)  # [GROUP, D]
        m = new_m
    return m, l, acc


@jit
def _run_length(n, splits, BLOCK: tl.constexpr):
    """Keys of each run but the last: whole tiles, so that `splits` runs cover n keys; at least one tile."""
    return tl.maximum(tl.cdiv(n, splits * BLOCK), 1) * BLOCK


@jit
def _split_kernel(
    q_ptr, prompt_k_ptr, prompt_v_ptr, prompt_ptr, prompt_length_ptr, k_ptr, v_ptr, length_ptr, out_ptr, z_ptr,
    prompt_k_prompt, prompt_k_head, prompt_k_key, prompt_v_prompt, prompt_v_head, prompt_v_key,
    k_row, k_head, k_key, v_row, v_head, v_key, group, splits, scale,
    HD: tl.constexpr, GROUP: tl.constexpr, D: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Program (row, kv head, run): out_s and z_s of (3) for `group` query heads; out itself if splits is 1.

    Names such as k_row are strides. GROUP, D: group and HD filled up to what tl.dot takes."""
    row = tl.program_id(0).to(tl.int64)  # row * k_row exceeds 2^31
    kv_head = tl.program_id(1).to(tl.int64)
    split = tl.program_id(2)
    prompt_n = tl.load(prompt_length_ptr + row).to(tl.int32)
    n = prompt_n + tl.load(length_ptr + row).to(tl.int32)
    run = _run_length(n, splits, BLOCK)
    first, last = split * run, tl.minimum(split * run + run, n)
    if (first >= n) & (split > 0):  # run 0 goes on even without keys, and writes zeros
        return
    member, d = tl.arange(0, GROUP), tl.arange(0, D)
    head = (row * tl.num_programs(1) + kv_head) * group + member  # [GROUP], over all rows
    real = (member < group)[:, None] & (d < HD)[None, :]  # [GROUP, D]
    q = tl.load(q_ptr + head[:, None] * HD + d[None, :], mask=real, other=0.0)
    m, l = tl.full([GROUP], -float("inf"), tl.float32), tl.zeros([GROUP], tl.float32)
    acc = tl.zeros([GROUP, D], tl.float32)
    number = tl.load(prompt_ptr + row)
    m, l, acc = _read_keys(
        q, prompt_k_ptr + number * prompt_k_prompt + kv_head * prompt_k_head, prompt_k_key,
        prompt_v_ptr + number * prompt_v_prompt + kv_head * prompt_v_head, prompt_v_key,
        first, tl.minimum(last, prompt_n), scale, m, l, acc, HD, D, BLOCK,
    )  # fmt: skip
    m, l, acc = _read_keys(
        q, k_ptr + row * k_row + kv_head * k_head, k_key, v_ptr + row * v_row + kv_head * v_head, v_key,
        tl.maximum(first - prompt_n, 0), last - prompt_n, scale, m, l, acc, HD, D, BLOCK,
    )  # fmt: skip
    l = tl.where(l == 0, 1.0, l)  # no key at all
    place = head * splits + split  # of this run in out_ptr [R, heads, splits, HD] and z_ptr [R, heads, splits]
    out = (acc / l[:, None]).to(out_ptr.dtype.element_ty)
    tl.store(out_ptr + place[:, None] * HD + d[None, :], out, mask=real)
    if splits > 1:
        tl.store(z_ptr + place, m + tl.log(l), mask=member < group)


@jit
def _combine_kernel(
    parts_ptr, z_ptr, prompt_length_ptr, length_ptr, out_ptr, splits,
    HD: tl.constexpr, SPLITS: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Program (row, head, COLUMNS of hd): equation (3) over the runs that have keys."""
    row = tl.program_id(0).to(tl.int64)
    head = row * tl.num_programs(1) + tl.program_id(1)  # over all rows
    n = (tl.load(prompt_length_ptr + row) + tl.load(length_ptr + row)).to(tl.int32)
    split = tl.arange(0, SPLITS)  # SPLITS: splits rounded up to a power of two
    used = split < tl.cdiv(n, _run_length(n, splits, BLOCK))  # the others have not been written
    z = tl.load(z_ptr + head * splits + split, mask=used, other=-float("inf"))
    top = tl.max(z, axis=0)
    w = tl.exp(z - tl.where(top == -float("inf"), 0.0, top))  # no key at all: w = 0, not NaN
    total = tl.sum(w, axis=0)
    d = tl.program_id(2) * COLUMNS + tl.arange(0, COLUMNS)
    place = (head * splits + split)[:, None] * HD + d[None, :]  # [SPLITS, COLUMNS]
    parts = tl.load(parts_ptr + place, mask=used[:, None] & (d < HD)[None, :], other=0.0)
    out = tl.sum(w[:, None] * parts, axis=0) / tl.where(total == 0, 1.0, total)
    tl.store(out_ptr + head * HD + d, out.to(out_ptr.dtype.element_ty), mask=d < HD)


def _block(hd: int, itemsize: int) -> int:
    """Keys in a tile: TILE_BYTES of them, in 16 .. 64."""
    return min(64, max(16, TILE_BYTES // (triton.next_power_of_2(hd) * itemsize)))


def _splits(programs: int, keys: int, block: int, processors: int) -> int:
    """S: runs a row, so that rows x kv heads x S are about two programs a processor, and a run has a tile.

    programs: rows x kv heads; keys: slots of a row, P + C; processors: streaming multiprocessors of the GPU."""
    return max(1, min(triton.cdiv(2 * processors, max(programs, 1)), triton.cdiv(keys, block)))


def _processors(device: torch.device) -> int:
    """Streaming multiprocessors; in the interpreter as many as make small tests split."""
    return 8 if INTERPRET else torch.cuda.get_device_properties(device).multi_processor_count


def _decode_attention_triton(q, prompt_k, prompt_v, prompt, prompt_length, k, v, length):
    (R, heads, hd), kv_heads = q.shape, k.shape[1]
    q, prompt, prompt_length, length = (x.contiguous() for x in (q, prompt, prompt_length, length))
    group, block = heads // kv_heads, _block(hd, q.element_size())
    splits = _splits(R * kv_heads, prompt_k.shape[2] + k.shape[2], block, _processors(q.device))
    out = torch.empty_like(q)  # [R, heads, hd]
    z = q.new_empty(R, heads, splits, dtype=torch.float32)
    parts = out if splits == 1 else q.new_empty(R, heads, splits, hd, dtype=torch.float32)
    if R:
        with torch.cuda.device_of(q):  # Triton launches on the current device
            _split_kernel[(R, kv_heads, splits)](
                q, prompt_k, prompt_v, prompt, prompt_length, k, v, length, parts, z,
                *prompt_k.stride()[:3], *prompt_v.stride()[:3], *k.stride()[:3], *v.stride()[:3],
                group, splits, hd**-0.5, HD=hd, GROUP=max(16, triton.next_power_of_2(group)),
                D=max(16, triton.next_power_of_2(hd)), BLOCK=block, num_warps=4, num_stages=3,
            )  # fmt: skip
            if splits > 1:
                _combine_kernel[(R, heads, triton.cdiv(hd, COMBINE))](
                    parts, z, prompt_length, length, out, splits,
                    HD=hd, SPLITS=triton.next_power_of_2(splits), COLUMNS=COMBINE, BLOCK=block, num_warps=4,
                )  # fmt: skip
    return out


def _check(q, prompt_k, prompt_v, prompt, prompt_length, k, v, length) -> None:
    """Shapes, dtypes and devices. Lengths and prompt numbers stay unread: that would wait for the GPU."""
    if q.ndim != 3 or not 1 <= q.shape[2] <= 256 or q.shape[1] == 0:
        raise ValueError(f"q must be [R, heads, hd] with heads >= 1 and hd in 1 .. 256, got {tuple(q.shape)}")
    if q.dtype not in DTYPES:
        raise TypeError(f"q must be one of {', '.join(map(str, DTYPES))}, got {q.dtype}")
    R, heads, hd = q.shape
    if k.ndim != 4 or (k.shape[0], k.shape[3]) != (R, hd) or k.shape[1] == 0 or heads % k.shape[1]:
        raise ValueError(f"k must be [{R}, kv_heads, C, {hd}] as q is {tuple(q.shape)}, with kv_heads a divisor "
                         f"of {heads}, got {tuple(k.shape)}")  # fmt: skip
    if prompt_k.ndim != 4 or len(prompt_k) == 0 or (prompt_k.shape[1], prompt_k.shape[3]) != (k.shape[1], hd):
        raise ValueError(f"prompt_k must be [U, {k.shape[1]}, P, {hd}] with U >= 1, got {tuple(prompt_k.shape)}")
    for name, x, like in (("k", k, k), ("v", v, k), ("prompt_k", prompt_k, prompt_k), ("prompt_v", prompt_v, prompt_k)):
        if x.shape != like.shape:
            raise ValueError(f"{name} must have the shape {tuple(like.shape)} of its keys, got {tuple(x.shape)}")
        if (x.dtype, x.device) != (q.dtype, q.device):
            raise TypeError(f"{name} is {x.dtype} on {x.device}, q is {q.dtype} on {q.device}")
        if x.stride(3) != 1 and hd > 1:
            raise ValueError(f"{name}'s last dimension must be contiguous, got strides {x.stride()}")
    for name, x in (("prompt", prompt), ("prompt_length", prompt_length), ("length", length)):
        check_rows(name, x, q)


def decode_attention(
    q: Tensor, prompt_k: Tensor, prompt_v: Tensor, prompt: Tensor, prompt_length: Tensor,
    k: Tensor, v: Tensor, length: Tensor,
) -> Tensor:  # fmt: skip
    """softmax(q k^T / sqrt(hd)) v over the keys of a row's prompt and then its own; no mask, no rotary.

    q [R, heads, hd]: one query a row, fp32, bf16 or fp16 (float64 for judging), hd up to 256. prompt_k, prompt_v
    [U, kv_heads, P, hd]: U prompts, padded to P (which may be 0); prompt [R] int64: which of them a row
    continues; prompt_length [R] int64: its real keys, in 0 .. P. k, v [R, kv_heads, C, hd]: the rows' own, by any
    strides but a contiguous last dimension; length [R] int64: how many are real, in 0 .. C, the query's own key
    included. heads is a multiple of kv_heads; query head h reads kv head h // (heads / kv_heads). Returns
    [R, heads, hd] in q's dtype, summed in fp32. Slots that are not real may hold anything, NaN too. A row
    without any key gives zeros, so a row at rest in a fixed batch needs no special care.

    On a GPU nothing waits for the host, and a CUDA graph may capture the call once a first one like it has
    compiled the kernels. So numbers inside prompt, prompt_length and length are not checked: beyond P, C or U
    other memory is read. Not differentiable. Raises ValueError or TypeError on bad input, before any launch.
    """
    _check(q, prompt_k, prompt_v, prompt, prompt_length, k, v, length)
    attend = _decode_attention_triton if backend(q) == "triton" else decode_attention_reference
    with torch.no_grad():
        return attend(q, prompt_k, prompt_v, prompt, prompt_length, k, v, length)
