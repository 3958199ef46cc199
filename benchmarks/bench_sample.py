"""Tokens per second of sample.generate, beside transformers' generate and, on a GPU, generate_batch and the roofline.

    python benchmarks/bench_sample.py [--no-peers]

On a CPU: tiny-base, its training prompt, responses that stop by themselves. On a GPU: random weights in the shape of
Qwen2.5-Math-1.5B in bf16, a prompt of 170 tokens; "exact": 600 new tokens for each response; "mixed": a length that is
geometric with mean 600 (253 of the 151,936 tokens stop, all about as likely), at most 3,072. The roofline of a step is
max((weights + live keys and values) / bandwidth, operations / rate), both measured; the prompt's keys count once. The
first call warms up; then, on a CPU, five count.
"""

import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import torch
import tyro

import data
import model
import policy
import sample
from transformers import AutoModelForCausalLM, GenerationConfig, Qwen2Config, Qwen2ForCausalLM

GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if GPU else "cpu")
SHAPE = Qwen2Config(vocab_size=151_936, hidden_size=1536, intermediate_size=8960, num_hidden_layers=28,
                    num_attention_heads=12, num_key_value_heads=2, max_position_embeddings=4096, rms_norm_eps=1e-6,
                    tie_word_embeddings=True)
BUDGET = 100.0 if GPU else 0.0                   # GiB for keys, values and logits; the peak may be this and the weights
SETTINGS = dict(do_sample=True, temperature=1.0, top_k=0, top_p=1.0, pad_token_id=0)      # transformers' names


def timed(function, calls: int = 1) -> tuple[float, list]:
    """Seconds of `calls` calls function(1), function(2), ..., after function(0) has warmed up, and their results."""
    wait = torch.cuda.synchronize if GPU else lambda: None
    function(0), wait()
    clock = time.perf_counter()
    results = [function(call) for call in range(1, calls + 1)]
    wait()
    return time.perf_counter() - clock, results


def roofline(decoder: model.Decoder, prompt: int, lengths: list[int], bandwidth: float, rate: float) -> float:
    """Seconds that the decoding steps of responses of these lengths take at least."""
    c, weights, seconds = decoder.config, sum(p.numel() for p in decoder.parameters()), 0.0
    token = 4 * c.num_hidden_layers * c.num_key_value_heads * model.head_dim(c)                # bytes, k and v in bf16
    for t in range(max(lengths)):
        alive = sum(length > t for length in lengths)
        operations = 2 * weights + 4 * c.num_hidden_layers * c.num_attention_heads * model.head_dim(c) * (prompt + t)
        seconds += max((2 * weights + token * (prompt + alive * t)) / bandwidth, alive * operations / rate)
    return seconds


def transformers_generate(peer, prompt: torch.Tensor, n: int, new: int, stop: list[int]) -> list[int]:
    """Lengths of n responses, each up to its first stop token."""
    with torch.no_grad():
        out = peer.generate(prompt.to(DEVICE).expand(n, -1), attention_mask=torch.ones(n, len(prompt), device=DEVICE),
                            max_new_tokens=new, eos_token_id=stop or None, **SETTINGS)[:, len(prompt):]
    ends = torch.isin(out, torch.tensor(stop, device=DEVICE))
    return torch.where(ends.any(1), ends.int().argmax(1) + 1, out.shape[1]).tolist()


def transformers_batch(peer, prompt: torch.Tensor, n: int, new: int, stop: list[int]) -> list[int]:
    """The same by continuous batching."""
    config = GenerationConfig(max_new_tokens=new, eos_token_id=stop or -1, **SETTINGS)
    return [len(out.generated_tokens) for out in peer.generate_batch([prompt.tolist()] * n, config).values()]


def main(peers: bool = True) -> None:
    """peers: run transformers too (on a GPU its generate takes minutes)."""
    torch.manual_seed(0)
    if GPU:
        peer = Qwen2ForCausalLM(SHAPE).to(DEVICE, torch.bfloat16).eval()
        with torch.device("meta"):
            decoder = model.Decoder(SHAPE)
        decoder.load_state_dict({k: v for k, v in peer.state_dict().items() if k != "lm_head.weight"}, assign=True)
        prompt, some = torch.randint(SHAPE.vocab_size, (170,)), list(range(253))
        work = [("exact", 1, 600, []), ("exact", 32, 600, []), ("exact", 1024, 600, []), ("mixed", 1024, 3072, some)]
        big, a = torch.ones(2**30, device=DEVICE).bfloat16(), torch.randn(8192, 8192, device=DEVICE).bfloat16()
        bandwidth = 20 * big.nbytes / timed(lambda _: big.clone(), 10)[0]
        rate = 10 * 2 * 8192**3 / timed(lambda _: a @ a, 10)[0]
        del big, a
        where = (f"{torch.cuda.get_device_name()}: copy {bandwidth / 1e9:.4g} GB/s, matmul {rate / 1e12:.4g} TFLOP/s; "
                 f"budget {BUDGET * 1.0737:.0f} GB, weights {sum(p.nbytes for p in decoder.parameters()) / 1e9:.1f} GB")
    else:
        peer = AutoModelForCausalLM.from_pretrained(ROOT / "tiny-base", dtype=torch.float32).eval()
        decoder, tokenizer = model.load(ROOT / "tiny-base"), model.load_tokenizer(ROOT / "tiny-base")
        prompt = data.encode(tokenizer, data.render(tokenizer, data.load("tiny-add")[0].question, "chat"))
        work = [("natural", n, 160, data.stop_ids(tokenizer, ("<|endoftext|>",))) for n in (1, 32, 128)]
        where = f"CPU, {torch.get_num_threads()} thread(s)"
    theirs = {"transformers generate": transformers_generate} | ({"generate_batch": transformers_batch} if GPU else {})
    print(f"{where}\n{'work':8} {'n':>5}  {'implementation':22} {'tokens/s':>9}  of roofline  peak GB")
    rows, calls = [], 1 if GPU else 5
    for name, n, new, stop in work:
        for implementation in ("ours", *(theirs if peers else ())):
            if GPU:
                torch.cuda.reset_peak_memory_stats()
            if implementation == "ours":
                settings = dict(n=n, max_new_tokens=new, stop_ids=stop, cache_gib=BUDGET)
                seconds, got = timed(lambda seed: sample.generate(decoder, [prompt], seed=seed, **settings), calls)
                lengths = [len(tokens) for rollouts in got for tokens in rollouts.tokens]
            else:
                seconds, got = timed(lambda _: theirs[implementation](peer, prompt, n, new, stop), calls)
                lengths = sum(got, [])
            row = dict(work=name, n=n, implementation=implementation, tokens=sum(lengths), seconds=round(seconds, 3))
            if GPU:
                row["roofline"] = round(roofline(decoder, len(prompt), lengths, bandwidth, rate) / seconds, 3)
                row["peak_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 1)
            if GPU and n == 32 and implementation == "ours":      # sampling and training must agree (contract 7)
                packed = policy.pack([prompt] * n, got[0].tokens, DEVICE, torch.bfloat16)
                with torch.no_grad():
                    gap = (policy.token_logprobs(decoder, packed, 1.0)[0].cpu() - torch.cat(got[0].logprobs)).abs()
                row |= dict(logprob_gap_mean=gap.mean().item(), logprob_gap_max=gap.max().item())
            rows.append(row)
            print(f"{name:8} {n:5}  {implementation:22} {sum(lengths) / seconds:9.0f}  {row.get('roofline', '-'):>11}  "
                  f"{row.get('peak_gb', '-'):>7}")
    print(json.dumps(dict(where=where, torch=torch.__version__, rows=rows)))


if __name__ == "__main__":
    tyro.cli(main)
