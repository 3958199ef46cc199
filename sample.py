"""Batched generation with a KV cache, over the training weights themselves: a small inference engine.

    python sample.py --model tiny-base --prompt "Tom has 57 apples and buys 39 more. How many?" --chat --n 4

A *row* of the cache is a place in which one response is decoded. How many there are follows from a memory budget; the
other responses wait. When one ends, the last row's response moves into its place, and the next waiting one begins in
the last row. So the rows in use are always the first ones, and a decoding step is one batched forward over them.

A prompt runs once, through the forward of training (`PackedAttention`), all but its last token; its keys and values are
shared by all its responses. That last token is the first that a row feeds, so every token is drawn in the same way.
Every draw depends on (seed, step, sequence, position) alone (contract 8): not on the row, the rank or the order.
"""

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
import tyro
from torch import Tensor
from tqdm import tqdm

import data
import model
from kernels import PackedAttention, backend, decode_attention, head_logits, sample_tokens
from model import Decoder, PretrainedConfig

STEPS_BETWEEN_LOOKS = 16       # on CUDA the host asks only so often which rows have ended: it waits for the GPU then
PREFILL_TOKENS = 16_384        # prompt tokens that run in about one forward: bounds the activations


@dataclass
class Rollouts:
    """B responses, prompt by prompt. tokens[i]: [T_i] int64, the stop token included where there is one;
    logprobs[i]: [T_i] fp32, of those tokens at the sampling temperature (in nats), from the numbers that were sampled;
    finished[i]: it stopped by itself; prompt_index[i]: which prompt it answers."""
    tokens: list[Tensor]
    logprobs: list[Tensor]
    finished: list[bool]
    prompt_index: list[int]


class Engine:
    """Keys and values of U prompts and R rows, the state of the rows, and the step that draws a token for each.

    A row sees its prompt's keys, then its own; the token at `position` has slot position - offset of its own. Where our
    Triton kernel runs, the prompt's are read in prompt_k, shared and not copied; offset is their number. torch's own
    attention wants all in one piece: elsewhere a row's own begin with a copy of the prompt's, and offset is 0."""

    def __init__(self, decoder: Decoder, rows: int, prompts: int, longest: int, max_new_tokens: int,
                 stop_ids: list[int], draw):
        """longest: tokens of the longest prompt; draw(logits [A, V], sequences [A], positions [A]) -> [A], [A]."""
        weight, config = next(decoder.parameters()), decoder.config
        self.decoder, self.draw, self.max_new_tokens = decoder, draw, max_new_tokens
        self.device, self.shared = weight.device, backend(weight) == "triton"
        self.stop_ids, self.stops = stop_ids, torch.tensor(stop_ids, dtype=torch.int64, device=self.device)       # [S]
        own = max_new_tokens + (1 if self.shared else longest)           # a row's first own token is its prompt's last
        L, heads, hd = config.num_hidden_layers, config.num_key_value_heads, model.head_dim(config)
        self.prompt_k, self.prompt_v = weight.new_zeros(2, L, prompts, heads, longest - 1, hd)
        self.k, self.v = weight.new_empty(2, L, rows, heads, own, hd)
        # What is drawn; the last column takes what a row that has ended writes until the host looks
        self.tokens = torch.zeros(rows, max_new_tokens + 1, dtype=torch.int64, device=self.device)
        self.logprobs = torch.zeros(rows, max_new_tokens + 1, device=self.device)
        # A row feeds `token`, at `position` of its sequence, behind the first `prefilled` tokens of its `prompt` (of
        # the U); `count` tokens are drawn; it is `alive` until its response ends
        self.state = torch.zeros(8, rows, dtype=torch.int64, device=self.device)
        (self.token, self.position, self.offset, self.prompt, self.prefilled, self.sequence, self.count,
         self.alive) = self.state                                                                             # [R] each
        # number of a prompt -> which of the U holds it; how many slots hold finite numbers in all rows (if not shared)
        self.place, self.opened = {}, longest - 1
        self.graphs, self.pool, self.capturing = {}, None, torch.cuda.Stream() if self.device.type == "cuda" else None

    def hold(self, wanted: dict[int, None], prompts: list[Tensor]) -> None:
        """Have the `wanted` ones (at most U numbers) of `prompts` here, each in its `place`; forget the others."""
        new = [i for i in wanted if i not in self.place]
        self.place = {i: place for i, place in self.place.items() if i in wanted}
        self.place |= zip(new, set(range(self.prompt_k.shape[1])) - set(self.place.values()))
        new = [i for i in new if len(prompts[i]) > 1]         # a prompt of one token has nothing to prefill
        part_size = PREFILL_TOKENS // max(map(len, prompts)) + 1
        for part in (new[first:first + part_size] for first in range(0, len(new), part_size)):
            self.prefill([prompts[i][:-1] for i in part], [self.place[i] for i in part])

    def prefill(self, prompts: list[Tensor], places: list[int]) -> None:
        """Run `prompts` ([P_i] >= 1 each), packed: keys and values to `places` of the U, anything behind short ones."""
        lengths, places = torch.tensor([len(p) for p in prompts]), torch.tensor(places, device=self.device)   # [S] each
        start, P = lengths.cumsum(0) - lengths, int(lengths.max())
        packed = PackedAttention([(int(s), int(n), 0, 0) for s, n in zip(start, lengths)], self.device, self.k.dtype)
        index = (start[:, None] + torch.arange(P)).clamp(max=int(lengths.sum()) - 1).to(self.device)        # [S, P]

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            self.prompt_k[layer, places, :, :P] = k[index].transpose(1, 2)    # [S, P, heads, hd] -> [S, heads, P, hd]
            self.prompt_v[layer, places, :, :P] = v[index].transpose(1, 2)
            return packed(layer, q, k, v)

        positions = torch.cat([torch.arange(n) for n in lengths]).to(self.device)                               # [N]
        self.decoder(torch.cat(prompts).to(self.device), positions, attend, lambda hidden, weight: None)

    def seat(self, first: int, prompts: list[tuple[int, Tensor]], sequences: list[int]) -> None:
        """Begin responses in the rows from `first` on: (number, tokens [P]) of each one's prompt, its own number."""
        columns = [(int(tokens[-1]), P := len(tokens) - 1, P if self.shared else 0, self.place[i], P, sequence, 0, 1)
                   for (i, tokens), sequence in zip(prompts, sequences, strict=True)]
        rows = slice(first, first + len(columns))
        self.state[:, rows] = torch.tensor(columns, device=self.device).T
        if not self.shared:
            for layer in range(len(self.k)):
                self.k[layer, rows, :, :self.prompt_k.shape[3]] = self.prompt_k[layer, self.prompt[rows]]
                self.v[layer, rows, :, :self.prompt_v.shape[3]] = self.prompt_v[layer, self.prompt[rows]]

    def close_ranks(self, source: list[int], target: list[int], A: int) -> None:
        """Move rows from `source` to `target` so that the first A are those that go on; empty the others."""
        if source:
            used = int((self.position - self.offset).max()) + 1
            source, target = torch.tensor(source, device=self.device), torch.tensor(target, device=self.device)
            for rows in (*self.k, *self.v):           # a layer at a time: the copy in between is small
                rows[target, :, :used] = rows[source, :, :used]
            for rows in (self.tokens, self.logprobs, self.state.T):
                rows[target] = rows[source]
        self.state[:, A:] = 0                         # a graph may step them still: they see one key, and draw nothing

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attention of a step: q [A, heads, hd] and k, v [A, kv_heads, hd] of a new token a row -> [A, heads, hd]."""
        A, keys, values = len(q), self.k[layer], self.v[layer]
        keys[self.row, :, self.slot] = k
        values[self.row, :, self.slot] = v
        if self.shared:
            return decode_attention(q, self.prompt_k[layer], self.prompt_v[layer], self.prompt[:A], self.prefilled[:A],
                                    keys[:A], values[:A], self.slot + 1)
        # The query heads of one kv head stand where SDPA expects query positions: grouped heads without a copy
        q, used = q.unflatten(1, (k.shape[1], -1)), self.mask.shape[-1]        # [A, kv_heads, heads/kv_heads, hd]
        return F.scaled_dot_product_attention(q, keys[:A, :, :used], values[:A, :, :used], self.mask).flatten(1, 2)

    def step(self, A: int) -> None:
        """One token for each of the first A rows. It writes in place and never asks the host (on CUDA), so that a graph
        can replay it; for a row that is not alive it changes nothing that counts."""
        token, position, offset, _, _, sequence, count, alive = self.state[:, :A]
        self.row, self.slot = torch.arange(A, device=self.device), position - offset                              # [A]
        if not self.shared:
            used = int(self.slot.max()) + 1
            if used > self.opened:            # NaN counts behind a mask too; 32 slots at once are as fast as one
                self.k[:, :, :, self.opened:used + 31] = self.v[:, :, :, self.opened:used + 31] = 0
                self.opened = used + 31
            self.mask = torch.arange(used) <= self.slot[:, None, None, None]                          # [A, 1, 1, used]
        logits = self.decoder(token, position, self, head_logits)                                              # [A, V]
        drawn, logprob = self.draw(logits, sequence, position + 1)                                        # [A] each
        self.tokens[:A].scatter_(1, count[:, None], drawn[:, None])
        self.logprobs[:A].scatter_(1, count[:, None], logprob[:, None])
        token += alive * (drawn - token)
        position += alive
        count += alive
        alive &= ~(drawn[:, None] == self.stops).any(1) & (count < self.max_new_tokens)

    def advance(self, A: int) -> None:
        """Step the first A rows: once on a CPU; on CUDA a few times, by a graph that was captured for about A rows."""
        if self.device.type != "cuda" or not self.shared:
            return self.step(A)
        size = min(graph_size(A), len(self.token))
        if size not in self.graphs:
            self.graphs[size] = self.capture(size)
        for _ in range(min(STEPS_BETWEEN_LOOKS, self.max_new_tokens)):
            self.graphs[size].replay()

    def capture(self, size: int) -> torch.cuda.CUDAGraph:
        """The step of `size` rows as one CUDA graph: the many small kernels of all layers, replayed by one call."""
        alive = self.alive.clone()
        self.alive.zero_()                            # so a step changes nothing, and may run to load its kernels
        self.step(size)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool, stream=self.capturing):
            self.step(size)
        self.pool = graph.pool()                      # graphs run one at a time: one piece of memory serves all
        self.alive.copy_(alive)
        return graph

    def result(self, row: int, T: int) -> tuple[Tensor, Tensor, bool]:
        """The response of T tokens in a row that has ended -> (tokens [T], logprobs [T], did it stop by itself)."""
        tokens, logprobs = (x[row, :T].to("cpu", copy=True) for x in (self.tokens, self.logprobs))
        return tokens, logprobs, int(tokens[-1]) in self.stop_ids


def graph_size(rows: int) -> int:
    """The next of 8, 12, 16, 24, 32, 48, ...: few graphs, and beyond 8 at most a third of a step's rows are empty."""
    power = max(8, 1 << (rows - 1).bit_length())
    return power * 3 // 4 if 8 < rows <= power * 3 // 4 else power


def restrict(logits: Tensor, temperature: float, top_p: float, top_k: int) -> Tensor:
    """Set to -inf all logits [A, V] but the `top_k` largest (0: all), and of these all but the largest that together
    have the probability `top_p` (1: all) at the temperature, which comes first as in transformers.

    For sampling and evaluation only: a policy trained on restricted samples would be scored as unrestricted."""
    if top_k:
        logits = logits.masked_fill(logits < logits.topk(min(top_k, logits.shape[1])).values[:, -1:], -torch.inf)
    if top_p < 1:
        ordered = logits.sort(descending=True).values
        p = (ordered / temperature).softmax(-1)
        kept = (p.cumsum(-1) - p < top_p).sum(-1, keepdim=True)               # [A, 1]: those before do not reach top_p
        logits = logits.masked_fill(logits < ordered.gather(1, kept - 1), -torch.inf)
    return logits


def rows_that_fit(config: PretrainedConfig, prompts: list[Tensor], n: int, max_new_tokens: int, temperature: float,
                  stop_ids: list[int], cache_gib: float, dtype: torch.dtype, device: torch.device,
                  restricted: bool = False) -> int:
    """How many of the len(prompts) * n responses decode at a time in `cache_gib` GiB of keys, values and logits (0: 80%
    of what is free on a GPU; a quarter of a computer's memory, for its processes together). Every row has room for the
    longest prompt and max_new_tokens: running out of memory is foreseen. ValueError for what cannot be generated."""
    if not prompts or min(len(prompt) for prompt in prompts) == 0:
        raise ValueError("a prompt is empty: give at least one token")
    if n < 1 or max_new_tokens < 1:
        raise ValueError(f"n and max_new_tokens must be at least 1, got {n} and {max_new_tokens}")
    if not 0 <= temperature < float("inf"):
        raise ValueError(f"temperature must be 0 (greedy) or more, got {temperature}")
    longest, room = max(len(prompt) for prompt in prompts), config.max_position_embeddings
    if longest + max_new_tokens > room:
        raise ValueError(f"a prompt of {longest} tokens and max_new_tokens {max_new_tokens} do not fit into the "
                         f"model's {room} positions; lower --max-new-tokens")
    if bad := [i for i in stop_ids if not 0 <= i < config.vocab_size]:
        raise ValueError(f"stop id {bad[0]} is outside the model's vocabulary of {config.vocab_size}")
    budget = cache_gib * 2**30 or free_memory(device)
    token = 2 * config.num_hidden_layers * config.num_key_value_heads * model.head_dim(config) * dtype.itemsize
    prompt, distinct = token * longest, len({tuple(p.tolist()) for p in prompts})
    shared = backend(torch.empty(0, dtype=dtype, device=device)) == "triton"
    # Bytes for each of a row's logits: what a step holds of them at most, counted by torch's profiler
    row = token * (max_new_tokens + 1) + (40 if restricted else 16) * config.vocab_size + (0 if shared else prompt)
    # Every prompt is held, or where they are more than the rows, one for each row
    if (rows := max((budget - distinct * prompt) // row, min(distinct, budget // (row + prompt)))) < 1:
        raise ValueError(f"one response needs {(row + prompt) / 2**30:.3g} GiB for keys, values and logits, there are "
                         f"{budget / 2**30:.3g}; raise --cache-gib or lower --max-new-tokens")
    return min(int(rows), len(prompts) * n)


def free_memory(device: torch.device) -> float:
    """Bytes to plan with where no budget is given."""
    if device.type == "cuda":
        torch.cuda.empty_cache()              # what torch keeps in reserve is free too
        return 0.8 * torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 4 / int(os.environ.get("LOCAL_WORLD_SIZE", 1))


@torch.no_grad()
def stream(decoder: Decoder, prompts: list[Tensor], *, n: int = 1, max_new_tokens: int, temperature: float = 1.0,
           stop_ids: list[int], seed: int = 0, step: int = 0, sequences: list[int] | None = None, top_p: float = 1.0,
           top_k: int = 0, cache_gib: float = 0.0) -> Iterator[tuple[int, Tensor, Tensor, bool]]:
    """Sample `n` responses to each prompt ([P] int64) until a stop token or `max_new_tokens`; temperature 0 is greedy.
    Yields (i * n + j, tokens [T], logprobs [T], finished) of response j to prompt i as soon as it has ended.

    The response has the number s = sequences[i * n + j] (without `sequences`: i * n + j), and its token at position t
    is a function of (seed, step, s, t) and the model. `cache_gib`, ValueError: see `rows_that_fit`."""
    weight = next(decoder.parameters())
    if not 0 < top_p <= 1 or top_k < 0:
        raise ValueError(f"top_p must be in (0, 1] and top_k must be 0 (off) or more, got {top_p} and {top_k}")
    restricted = temperature > 0 and (top_k > 0 or top_p < 1)
    R = rows_that_fit(decoder.config, prompts, n, max_new_tokens, temperature, stop_ids, cache_gib, weight.dtype,
                      weight.device, restricted)
    if sequences and len(sequences) != len(prompts) * n:
        raise ValueError(f"sequences must number the {len(prompts)} x {n} responses, got {len(sequences)}")

    def draw(logits: Tensor, sequences: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        logits = restrict(logits, temperature, top_p, top_k) if restricted else logits
        return sample_tokens(logits, temperature, seed, step, sequences, positions)

    first = {}
    number = [first.setdefault(tuple(prompt.tolist()), i) for i, prompt in enumerate(prompts)]     # equal: the first's
    engine = Engine(decoder, R, min(len(first), R), max(map(len, prompts)), max_new_tokens, stop_ids, draw)
    queue = sorted(range(len(prompts) * n), key=lambda s: number[s // n])    # responses to equal prompts side by side
    running = []                                                             # the responses in the first rows
    threads = torch.get_num_threads()
    if weight.device.type == "cpu" and decoder.config.hidden_size <= 512:
        torch.set_num_threads(1)      # a decoding step of so small a model is shorter than waking a second thread
    try:
        while queue or running:
            if new := queue[:R - len(running)]:
                del queue[:len(new)]
                engine.hold(dict.fromkeys(number[s // n] for s in running + new), prompts)
                engine.seat(len(running), [(number[s // n], prompts[s // n]) for s in new],
                            [sequences[s] if sequences else s for s in new])
                running += new
            engine.advance(len(running))
            count, alive = engine.state[-2:, :len(running)].tolist()
            if not all(alive):
                for r, s in enumerate(running):
                    if not alive[r]:
                        yield s, *engine.result(r, count[r])
                # A row that goes on and stands behind the number that do moves into the place of one that has ended
                A = sum(alive)
                target, source = [r for r in range(A) if not alive[r]], [r for r in range(A, len(alive)) if alive[r]]
                engine.close_ranks(source, target, A)
                for r, behind in zip(target, source, strict=True):
                    running[r] = running[behind]
                del running[A:]
    finally:
        torch.set_num_threads(threads)
        del engine
        torch.cuda.empty_cache()      # the cache goes back whole: a part kept in use would make the next one not fit


def generate(decoder: Decoder, prompts: list[Tensor], *, n: int = 1, progress: bool = False, **settings) -> Rollouts:
    """All that `stream` yields (`settings` are its), in the order of the prompts; `progress` shows a bar."""
    responses = [None] * (len(prompts) * n)
    for i, *response in tqdm(stream(decoder, prompts, n=n, **settings), "sample", len(responses), leave=False,
                             unit="response", disable=not progress):
        responses[i] = response
    return Rollouts(*map(list, zip(*responses, strict=True)), [i // n for i in range(len(responses))])


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
    cache_gib: float = 0.0                      # GiB for keys, values and logits; 0: by what the device has free
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
                            cache_gib=config.cache_gib, progress=True)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"sample.py: {error}")
    seconds, count = time.perf_counter() - clock, sum(map(len, rollouts.tokens))
    for i, (tokens, finished) in enumerate(zip(rollouts.tokens, rollouts.finished, strict=True)):
        print(f"--- {i + 1} of {config.n}: {len(tokens)} tokens, {'stopped by itself' if finished else 'cut off'}")
        print(tokenizer.decode(tokens, skip_special_tokens=True))
    print(f"--- {count} tokens in {seconds:.2f} s: {count / seconds:.0f} tokens/s on {device}")


if __name__ == "__main__":
    main(tyro.cli(Config))
