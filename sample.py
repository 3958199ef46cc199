"""Batched generation with a KV cache, over the training weights themselves.

    python sample.py --model tiny-base --prompt "Tom has 57 apples and buys 39 more. How many?" --chat --n 4

The prompts run once through the same forward as in training (`PackedAttention`), each distinct one once; their keys
and values open the cache rows of their responses. Then each step feeds one token a row. Rows that have stopped leave.
Every draw depends on (seed, step, sequence, position) alone (contract 8): not on the batch, the rank or the order.
"""

import sys
import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
import tyro
from torch import Tensor
from tqdm import tqdm

import data
import model
from kernels import head_logits, sample_tokens
from model import Decoder, PackedAttention


@dataclass
class Rollouts:
    """B responses, prompt by prompt. tokens[i]: [T_i] int64, the stop token included where there is one;
    logprobs[i]: [T_i] fp32, of those tokens at the sampling temperature (in nats), from the numbers that were sampled;
    finished[i]: it stopped by itself; prompt_index[i]: which prompt it answers."""
    tokens: list[Tensor]
    logprobs: list[Tensor]
    finished: list[bool]
    prompt_index: list[int]


class Cache:
    """Keys and values of R rows, [layers, R, kv_heads, capacity, head_dim], and the attention of one new token a row.

    Slots [0, P) hold the row's prompt, where P is the longest prompt's length; then one slot a step, the same for all
    rows. `hidden` masks the gap behind a shorter prompt."""

    def __init__(self, keys: list[Tensor], values: list[Tensor], rows: Tensor, hidden: Tensor, capacity: int):
        """keys, values: a tensor [N, kv_heads, head_dim] a layer over the packed prompts; rows [R, P]: which of the N
        tokens stands in each slot; hidden [R, P]: true where none does; capacity: slots in all."""
        (R, P), (_, heads, head_dim) = rows.shape, keys[0].shape
        self.k = keys[0].new_empty(len(keys), R, heads, capacity, head_dim)
        self.v = torch.empty_like(self.k)
        for layer, (k, v) in enumerate(zip(keys, values, strict=True)):
            self.k[layer, :, :, :P] = k[rows].transpose(1, 2)                # [R, P, heads, hd] -> [R, heads, P, hd]
            self.v[layer, :, :, :P] = v[rows].transpose(1, 2)
        self.mask = None
        if hidden.any():       # [R, 1, 1, capacity], true where a row may look; no mask at all is faster
            self.mask = ~F.pad(hidden, (0, capacity - P))[:, None, None]
        self.length = P

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q [R, heads, hd] of the token in slot `length`, k, v [R, kv_heads, hd] -> [R, heads, hd]."""
        self.k[layer, :, :, self.length] = k
        self.v[layer, :, :, self.length] = v
        end = self.length + 1
        # The query heads of one kv head stand where SDPA expects query positions: grouped heads without a copy
        q = q.unflatten(1, (k.shape[1], -1))                                  # [R, kv_heads, heads/kv_heads, hd]
        mask = None if self.mask is None else self.mask[..., :end]
        out = F.scaled_dot_product_attention(q, self.k[layer, :, :, :end], self.v[layer, :, :, :end], mask)
        return out.flatten(1, 2)

    def keep(self, rows: Tensor) -> None:
        """Let all rows but `rows` [R'] (ascending) leave."""
        for whole in (*self.k, *self.v):       # to the front, in place, a layer at a time: the copy between is small
            whole[:len(rows), :, :self.length] = whole[rows, :, :self.length]
        self.k, self.v = self.k[:, :len(rows)], self.v[:, :len(rows)]
        self.mask = None if self.mask is None else self.mask[rows]


def prefill(decoder: Decoder, prompts: list[Tensor], capacity: int, device) -> tuple[Tensor, Tensor, Cache]:
    """prompts: R tensors [P_r] -> logits [R, V] after each, positions [R] of the next token, and the cache.

    Equal prompts run once."""
    distinct, start, sequences, N = {}, [], [], 0
    for prompt in prompts:
        key = tuple(prompt.tolist())
        if key not in distinct:
            distinct[key] = N
            sequences.append((N, len(key), 0, 0))
            N += len(key)
        start.append(distinct[key])
    keys, values = [], []
    packed = PackedAttention(sequences, device, next(decoder.parameters()).dtype)

    def attend(layer, q, k, v):
        keys.append(k)
        values.append(v)
        return packed(layer, q, k, v)

    tokens = torch.tensor([token for key in distinct for token in key], device=device)                    # [N]
    positions = torch.cat([torch.arange(len(key)) for key in distinct]).to(device)                        # [N]
    start = torch.tensor(start, device=device)                                                            # [R]
    length = torch.tensor([len(prompt) for prompt in prompts], device=device)                             # [R]
    slot = torch.arange(int(length.max()), device=device)                                                 # [P]
    hidden = slot >= length[:, None]                                                                      # [R, P]
    rows = (start[:, None] + slot).masked_fill(hidden, 0)                                                 # [R, P]
    last = start + length - 1                                                                             # [R]
    unique, row_of = last.unique(return_inverse=True)
    logits = decoder(tokens, positions, attend, lambda h, weight: head_logits(h[unique], weight))[row_of]    # [R, V]
    return logits, length, Cache(keys, values, rows, hidden, capacity)


def restrict(logits: Tensor, top_p: float, top_k: int) -> Tensor:
    """Set to -inf all logits [R, V] but the `top_k` largest (0: all) and the smallest set of probability >= top_p.

    For sampling and evaluation only: a policy trained on restricted samples would be scored as unrestricted."""
    if top_k:
        logits = logits.masked_fill(logits < logits.topk(top_k).values[:, -1:], -torch.inf)
    if top_p < 1:
        ordered, index = logits.float().sort(descending=True)
        before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)         # probability of all that stand in front
        outside = torch.zeros_like(logits, dtype=torch.bool).scatter(1, index, before >= top_p)
        logits = logits.masked_fill(outside, -torch.inf)
    return logits


@torch.no_grad()
def generate(decoder: Decoder, prompts: list[Tensor], *, n: int = 1, max_new_tokens: int, temperature: float = 1.0,
             stop_ids: list[int], seed: int = 0, step: int = 0, sequences: list[int] | None = None,
             max_rows: int = 1024, top_p: float = 1.0, top_k: int = 0, progress: bool = False) -> Rollouts:
    """Sample `n` responses to each prompt ([P] int64) until a stop token or `max_new_tokens`; temperature 0 is greedy.

    Response j to prompt i has the number s = sequences[i * n + j] (without `sequences`: i * n + j), and its token at
    position t is a function of (seed, step, s, t) and the model. At most `max_rows` responses decode at a time. Raises
    ValueError for settings that cannot work: an empty prompt, no room for a token, a stop id outside the vocabulary."""
    check_prompts(decoder, prompts, n, max_new_tokens, temperature, stop_ids)
    if not 0 < top_p <= 1 or top_k < 0:
        raise ValueError(f"top_p must be in (0, 1] and top_k must be 0 (off) or more, got {top_p} and {top_k}")
    device = next(decoder.parameters()).device
    total, threads = len(prompts) * n, torch.get_num_threads()
    if device.type == "cpu" and decoder.config.hidden_size <= 512:
        torch.set_num_threads(1)      # a decoding step of so small a model is shorter than waking a second thread
    rollouts = Rollouts([], [], [], [s // n for s in range(total)])
    bar = tqdm(total=total, desc="sample", unit="response", leave=False, disable=not progress)
    for first in range(0, total, max_rows):
        wave = range(first, min(first + max_rows, total))
        numbers = torch.tensor([sequences[s] if sequences else s for s in wave], device=device)
        tokens, logprobs, lengths, finished = decode(
            decoder, [prompts[s // n] for s in wave], numbers, max_new_tokens, temperature,
            torch.tensor(stop_ids, device=device), seed, step, top_p, top_k, bar)
        rollouts.tokens += [row[:length] for row, length in zip(tokens, lengths)]
        rollouts.logprobs += [row[:length] for row, length in zip(logprobs, lengths)]
        rollouts.finished += finished
    bar.close()
    torch.set_num_threads(threads)
    return rollouts


def decode(decoder: Decoder, prompts: list[Tensor], sequences: Tensor, max_new_tokens: int, temperature: float,
           stop_ids: Tensor, seed: int, step: int, top_p: float, top_k: int, bar: tqdm):
    """One wave: R prompts, their `sequences` [R] -> tokens, logprobs [R, max_new_tokens]; lengths, finished of R."""
    R, device = len(prompts), sequences.device
    capacity = max(len(prompt) for prompt in prompts) + max_new_tokens
    logits, positions, cache = prefill(decoder, prompts, capacity, device)             # [R, V], [R]
    tokens = torch.zeros(R, max_new_tokens, dtype=torch.int64, device=device)
    logprobs = torch.zeros(R, max_new_tokens, device=device)
    lengths = torch.full((R,), max_new_tokens, device=device)
    finished = torch.zeros(R, dtype=torch.bool, device=device)
    rows = torch.arange(R, device=device)                      # [A]: which responses the A rows of the cache decode
    for t in range(max_new_tokens):
        if top_k or top_p < 1:
            logits = restrict(logits, top_p, top_k)
        token, logprob = sample_tokens(logits, temperature, seed, step, sequences[rows], positions)        # [A] each
        tokens[rows, t], logprobs[rows, t] = token, logprob
        stopped = torch.isin(token, stop_ids) & ~finished[rows]
        if stopped.any():
            lengths[rows[stopped]] = t + 1
            finished[rows[stopped]] = True
            bar.update(int(stopped.sum()))
            alive = (~finished[rows]).nonzero().squeeze(1)
            if len(alive) == 0:
                break
            if len(alive) <= 0.75 * len(rows):         # leaving copies the cache: do it when a quarter has finished
                cache.keep(alive)
                rows, token, positions = rows[alive], token[alive], positions[alive]
        if t + 1 < max_new_tokens:
            logits = decoder(token, positions, cache, head_logits)                                          # [A, V]
            cache.length += 1
            positions = positions + 1
    bar.update(R - int(finished.sum()))
    return tokens.cpu(), logprobs.cpu(), lengths.tolist(), finished.tolist()


def check_prompts(decoder: Decoder, prompts: list[Tensor], n: int, max_new_tokens: int, temperature: float,
                  stop_ids: list[int]) -> None:
    """Raise ValueError for what `generate` cannot do, before any work."""
    if not prompts or min(len(prompt) for prompt in prompts) == 0:
        raise ValueError("a prompt is empty: give at least one token")
    if n < 1 or max_new_tokens < 1:
        raise ValueError(f"n and max_new_tokens must be at least 1, got {n} and {max_new_tokens}")
    if temperature < 0:
        raise ValueError(f"temperature must be 0 (greedy) or more, got {temperature}")
    longest, room = max(len(prompt) for prompt in prompts), decoder.config.max_position_embeddings
    if longest + max_new_tokens > room:
        raise ValueError(f"a prompt of {longest} tokens and max_new_tokens {max_new_tokens} do not fit into the "
                         f"model's {room} positions; lower --max-new-tokens")
    if bad := [i for i in stop_ids if not 0 <= i < decoder.config.vocab_size]:
        raise ValueError(f"stop id {bad[0]} is outside the model's vocabulary of {decoder.config.vocab_size}")


# ---------------------------------------------------------------- command line


@dataclass(frozen=True)
class Config:
    """Sample from any checkpoint."""
    model: str                                  # Hugging Face folder or hub id
    prompt: str                                 # the text, or with --chat the question
    chat: bool = False                          # put the prompt into the tokenizer's chat template
    n: int = 1                                  # responses
    max_new_tokens: int = 256                   # longest response
    temperature: float = 0.6                    # 0: greedy
    top_p: float = 1.0                          # 1: off
    top_k: int = 0                              # 0: off
    stop_tokens: tuple[str, ...] = ()           # end of a response; empty: the tokenizer's end-of-text token
    seed: int = 0


def main(config: Config) -> None:
    """Print each response, its length, whether it stopped by itself, and tokens per second."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        decoder = model.load(config.model, torch.bfloat16 if device == "cuda" else torch.float32, device)
        tokenizer = model.load_tokenizer(config.model)
        text = data.render(tokenizer, config.prompt, "chat" if config.chat else "plain")
        clock = time.perf_counter()
        rollouts = generate(decoder, [data.encode(tokenizer, text)], n=config.n, max_new_tokens=config.max_new_tokens,
                            temperature=config.temperature, seed=config.seed, top_p=config.top_p, top_k=config.top_k,
                            stop_ids=data.stop_ids(tokenizer, config.stop_tokens or (tokenizer.eos_token,)),
                            progress=True)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"sample.py: {error}")
    seconds, count = time.perf_counter() - clock, sum(map(len, rollouts.tokens))
    for i, (tokens, finished) in enumerate(zip(rollouts.tokens, rollouts.finished, strict=True)):
        end = "stopped by itself" if finished else "cut off"
        print(f"--- {i + 1} of {config.n}: {len(tokens)} tokens, {end}")
        print(tokenizer.decode(tokens, skip_special_tokens=True))
    print(f"--- {count} tokens in {seconds:.2f} s: {count / seconds:.0f} tokens/s on {device}")


if __name__ == "__main__":
    main(tyro.cli(Config))
