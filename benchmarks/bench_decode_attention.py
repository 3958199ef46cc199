"""Time of attention of one new token per row over cached keys, beside torch's SDPA with the prompt copied to each row.

On a CUDA device: one layer of Qwen2.5-Math-1.5B in bf16, 170-token prompt, room for 3,242 own tokens, 1 to 1,024 rows,
(a) all slots real, (b) a mix of lengths, mean about 600. Calls for many layers are captured in one CUDA graph, so that
launches cost little and no layer finds its keys in the L2 cache. "mb": bytes of real keys and values, a shared prompt
counted once; "share": of the copy bandwidth that this run measured, at which those bytes would move. SDPA reads every
slot up to the longest row, behind a mask. Without CUDA: the tiny world's shapes, where the plain-torch reference runs;
there is nothing to measure of the kernel. The last line is JSON.
"""
import json
import statistics
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))
from kernels import decode_attention

GPU = torch.cuda.is_available()
DEVICE, DTYPE = ("cuda", torch.bfloat16) if GPU else ("cpu", torch.float32)
HEADS, KV_HEADS, HD, P, C = (12, 2, 128, 170, 3242) if GPU else (4, 2, 32, 40, 100)
ROWS = (1, 32, 256, 1024) if GPU else (128,)
CACHE_BYTES = 4e9  # of all layers in a graph; 1 to 256 layers


def seconds(function) -> float:
    """Median of 7 runs after 2."""
    wait = torch.cuda.synchronize if GPU else lambda: None
    times = []
    for _ in range(9):
        wait()
        start = time.perf_counter()
        function()
        wait()
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:])


def captured(step):
    """step as one CUDA graph, after a first run that compiles; on a CPU step itself."""
    step()
    if not GPU:
        return step
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def lengths(R: int, mixed: bool) -> Tensor:
    """[R] int64: C each; or exponential draws of mean 600 (CPU: 40), cut at C."""
    if not mixed:
        return torch.full((R,), C, device=DEVICE)
    generator = torch.Generator().manual_seed(0)
    draws = torch.empty(R).exponential_(1 / (600 if GPU else 40), generator=generator)
    return draws.long().clamp(1, C).to(DEVICE)


def sdpa(q: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """q [R, heads, hd], keys and values [R, kv_heads, n, hd] -> [R, heads, hd]; a group's heads as query positions."""
    grouped = q.unflatten(1, (KV_HEADS, -1))  # [R, kv_heads, group, hd]
    return F.scaled_dot_product_attention(grouped, keys, values, mask).flatten(1, 2)


def measure(R: int, mixed: bool, copy: float) -> list[dict]:
    """Both implementations on the same numbers, ours first: the prompt stands in slots [0, P) of SDPA's cache."""
    per_key = 2 * KV_HEADS * HD * DTYPE.itemsize
    layers = max(1, min(256, int(CACHE_BYTES / (R * C * per_key)))) if GPU else 4
    cache = torch.randn(2, layers, R, KV_HEADS, P + C, HD, dtype=DTYPE, device=DEVICE)
    q = torch.randn(layers, R, HEADS, HD, dtype=DTYPE, device=DEVICE)
    length = lengths(R, mixed)
    first, prompt_n, end = torch.zeros_like(length), torch.full_like(length, P), P + int(length.max())
    cache[:, :, :, :, :P] = cache[:, :, :1, :, :P]  # one prompt
    prompt, own = cache[:, :, :1, :, :P].clone(), cache[:, :, :, :, P:]
    mask = (torch.arange(end, device=DEVICE) < P + length[:, None])[:, None, None] if mixed else None  # [R, 1, 1, end]

    def ours():
        return [decode_attention(q[i], *prompt[:, i], first, prompt_n, *own[:, i], length) for i in range(layers)]

    def theirs():
        return [sdpa(q[i], *cache[:, i, :, :, :end], mask) for i in range(layers)]

    rows, work = [], (P + int(length.sum())) * per_key
    error = max((a - b).abs().max().item() for a, b in zip(ours(), theirs(), strict=True))
    for name, step in (("ours", ours), ("sdpa", theirs)):
        layer = seconds(captured(step)) / layers
        rows.append(dict(impl=name, R=R, lengths="mixed" if mixed else "full", layers=layers, us=round(layer * 1e6, 1),
                         mb=round(work / 1e6, 3), share=round(work / layer / copy, 3), apart=round(error, 5)))
        print("  ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    return rows


def main() -> None:
    a = torch.ones(2**30 if GPU else 2**24, device=DEVICE, dtype=DTYPE)
    copy = 2 * a.nbytes / seconds(a.clone)
    del a
    where = torch.cuda.get_device_name() if GPU else "no CUDA device: the reference, not the kernel"
    print(f"{where}: copy {copy / 1e9:.4g} GB/s; {HEADS} heads, {KV_HEADS} kv heads of {HD}, P {P}, C {C}, us a layer")
    rows = [row for R in ROWS for mixed in (False, True) for row in measure(R, mixed, copy)]
    print(json.dumps(dict(where=where, threads=torch.get_num_threads(), torch=torch.__version__, copy=copy, rows=rows)))


if __name__ == "__main__":
    main()
