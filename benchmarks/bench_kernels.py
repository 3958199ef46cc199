"""Time, memory and achieved rate of the three kernels beside eager torch, torch.compile and installed peers.

On a CUDA device: the shapes of a 1.5B and an 8B model, in bf16. A share is of a rate that this run measured:
for kernels 1 and 3 of the copy bandwidth (forward reads the logits once; forward and backward read them twice
and write once), for kernel 2 of the bf16 matmul rate (2 N V D operations forward, 8 in both). "extra" is peak
memory beyond inputs and gradients. Without CUDA: the tiny world's shapes on the CPU. The last line is JSON.
"""
import importlib
import json
import statistics
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))
import kernels

GPU = torch.cuda.is_available()
DEVICE, DTYPE = ("cuda", torch.bfloat16) if GPU else ("cpu", torch.float32)
PEERS = {  # name: (module, function, options); only verl's returns the entropy too
    "liger": ("liger_kernel.transformers.functional", "liger_fused_linear_cross_entropy", ()),
    "cut-cross-entropy": ("cut_cross_entropy", "linear_cross_entropy", ()),
    "verl": ("verl.utils.kernel.linear_cross_entropy", "linear_cross_entropy", (1.0, "none")),
}


def eager_logits(x, y):
    logp = torch.log_softmax(x.float(), 1)
    return logp.gather(1, y[:, None]).squeeze(1), -(logp.exp() * logp).sum(1)


def eager_sample(x, *names):
    logp = torch.log_softmax(x.float(), 1)
    token = (logp.exp() / torch.empty_like(logp).exponential_()).argmax(1, keepdim=True)
    return token, logp.gather(1, token)


def timed(function) -> tuple[float, int]:
    """-> (median seconds of 7 runs after 2, peak bytes allocated beyond what was there before)."""
    wait = torch.cuda.synchronize if GPU else lambda: None
    seconds, before = [], torch.cuda.memory_allocated()  # 0 without CUDA
    torch.cuda.reset_peak_memory_stats() if GPU else None
    for _ in range(9):
        wait()
        start = time.perf_counter()
        function()
        wait()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[2:]), torch.cuda.max_memory_allocated() - before


def measure(result, function, leaves, others, **work) -> dict:
    """Adds time, share and extra memory of function(*leaves, *others) to result. work: forward or both (with
    backward) = the seconds that it would take at the measured top rate."""
    def forward():
        with torch.no_grad():
            function(*leaves, *others)
    def both():
        outputs = function(*leaves, *others)
        sum(out.float().sum() for out in (outputs if isinstance(outputs, tuple) else [outputs])).backward()
        for leaf in leaves:
            leaf.grad = None
    try:
        for name, ideal in work.items():
            seconds, extra = timed(both if name == "both" else forward)
            extra -= sum(x.nbytes for x in leaves) if name == "both" else 0
            result[f"{name}_ms"], result[f"{name}_share"] = round(seconds * 1e3, 3), round(ideal / seconds, 3)
            result[f"{name}_extra_mb"] = round(extra / 1e6) if GPU else None
    except Exception as error:  # that a peer fails, or that eager runs out of memory, is a result too
        result["error"] = f"{type(error).__name__}: {error}".splitlines()[0][:80]
        for leaf in leaves:
            leaf.grad = None
    print("  ".join(f"{key} {value}" for key, value in result.items()), flush=True)
    return result


def main() -> None:
    side = 8192 if GPU else 1024
    a = torch.randn(side, side, device=DEVICE).to(DTYPE)
    flops = 2 * side**3 / timed(lambda: a @ a)[0]
    a = torch.ones(2**30 if GPU else 2**24, device=DEVICE, dtype=DTYPE)
    copy = 2 * a.nbytes / timed(a.clone)[0]
    del a
    where = torch.cuda.get_device_name() if GPU else "no CUDA device, so the tiny world's shapes on the CPU"
    print(f"{where}: matmul {flops / 1e12:.4g} TFLOP/s, copy {copy / 1e9:.4g} GB/s")
    rows, logits = [], {"ours": kernels.logprob_entropy, "eager": eager_logits}
    linear = {"ours": kernels.linear_logprob_entropy, "eager": lambda h, w, y: eager_logits(h @ w.T, y)}
    if GPU:
        for contenders in (logits, linear):
            contenders["torch.compile"] = torch.compile(contenders["eager"])
        for name, (module, function, options) in PEERS.items():
            try:
                peer = getattr(importlib.import_module(module), function)
                linear[name] = lambda h, w, y, peer=peer, options=options: peer(h, w, y, *options)
            except Exception as error:  # not installed, or broken on this machine: said, and left out
                print(f"{name} is not measured: {error}")
    for D, V in ((1536, 151_936), (4096, 128_256)) if GPU else ((128, 400),):
        for N in (1000, 8000, 24_000) if GPU else (8000,):
            y = torch.randint(V, (N,), device=DEVICE)
            h, w = (torch.randn(n, D, device=DEVICE).div_(D**0.25).to(DTYPE).requires_grad_() for n in (N, V))
            for name, function in linear.items():
                rows.append(measure(dict(kernel=2, impl=name, N=N, D=D, V=V), function, (h, w), (y,),
                                    forward=2 * N * V * D / flops, both=8 * N * V * D / flops))
            x = torch.randn(N, V, device=DEVICE, dtype=DTYPE).requires_grad_()
            for name, function in logits.items():
                rows.append(measure(dict(kernel=1, impl=name, N=N, V=V), function, (x,), (y,),
                                    forward=x.nbytes / copy, both=3 * x.nbytes / copy))
        for B in (1, 32, 1024) if GPU else (128,):
            x, names = torch.randn(B, V, device=DEVICE, dtype=DTYPE), torch.arange(B, device=DEVICE)
            for name, function in {"ours": kernels.sample_tokens, "eager": eager_sample}.items():
                rows.append(measure(dict(kernel=3, impl=name, B=B, V=V), function, (x,),
                                    (1.0, 0, 0, names, names), forward=x.nbytes / copy))
    print(json.dumps(dict(where=where, threads=torch.get_num_threads(), torch=torch.__version__,
                          matmul=flops, copy=copy, rows=rows)))


if __name__ == "__main__":
    main()
