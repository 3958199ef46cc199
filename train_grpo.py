"""GRPO on ONE training example: the whole of 1-shot RLVR (arXiv 2504.20571), top to bottom.

Sample G responses to each of the rows of a step (here: the same problem again and again), reward 1 if the boxed
answer is right, else 0, and make what beat its own group likelier:

    (1)  A_i  = (r_i - mean(r)) / (std(r) + 1e-6)                        over the group of response i, std with ddof=1
    (2)  rho  = pi(token) / pi_old(token)                                for every response token
    (3)  L_pg = max(-A rho, -A clip(rho, 1 - clip, 1 + clip))
    (4)  L_kl = clamp(e^d - d - 1, -10, 10),   d = log pi_ref - log pi   (the k3 estimator)
    (5)  L    = sum over tokens (policy_coef L_pg + kl_coef L_kl - entropy_coef H) / number of tokens in the update

Departures from the released code: (5) divides by one global token count, where it averages each micro-batch by itself;
the response alone is graded, by our verifier; a response ends at <|im_end|> too, not at <|endoftext|> alone.
The contracts that comments name stand in README.md.

    torchrun train_grpo.py                                             # laptop: about two minutes on 2 cores
    torchrun --nproc-per-node 8 train_grpo.py qwen2.5-math-1.5b        # the paper's recipe
    torchrun train_grpo.py --resume runs/tiny                          # go on where a run was stopped
"""

import math
import os
import sys
import time
from dataclasses import dataclass, replace

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")   # read when torch loads: CPU threads that wait sleep. Spinning
                                                      # ones slow the small steps down tenfold on a busy machine.
import torch
import torch.distributed as dist
from torch import Tensor
from tqdm import tqdm

import data
import model
import policy
import record
import verify
from evaluate import evaluate_sets, source_and_temperature
from sample import generate, rows_that_fit


@dataclass(frozen=True)
class Config:
    """Every setting; the defaults are the laptop recipe. A recipe's name before the options picks other defaults."""
    model: str = "tiny-base"                       # Hugging Face folder or hub id of the base model
    example: tuple[str, ...] = ("tiny-add",)       # training problems: names in data.py, .jsonl or .parquet files
    label: str = ""                                # the one example's answer, instead of its own
    reward: str = "outcome"                        # what pays 1; "outcome": the right boxed answer, "format": any
    template: str = "chat"                         # prompt: the tokenizer's chat template, or one of data.TEMPLATES
    stop_tokens: tuple[str, ...] = ("<|endoftext|>",)   # a response ends at the first of these
    name: str = ""                                 # results go to runs/NAME; empty: the recipe's, numbered if taken
    resume: str = ""                               # folder of a run to go on with, under its own settings
    steps: int = 60                                # rollout steps
    rows: int = 16                                 # prompts a step, the examples repeated evenly
    group_size: int = 8                            # responses to each row: rows x group_size responses a step
    max_new_tokens: int = 160                      # longest response
    temperature: float = 1.0                       # of sampling, log-probs, entropies (contract 2: no top-p, no top-k)
    updates_per_rollout: int = 1                   # 1: the released code; 8: the paper's text (see README.md)
    policy_coef: float = 1.0                       # weight of (3)
    clip: float = 0.2                              # ratio clip of (3); acts only if updates_per_rollout > 1
    kl_coef: float = 0.001                         # weight of (4); 0: no reference model is held
    entropy_coef: float = 0.001                    # weight of the entropy H in (5)
    lr: float = 1e-4                               # AdamW, constant (a 0.8 M model bears 100 times the paper's)
    weight_decay: float = 0.01                     # decoupled
    max_grad_norm: float = 1.0                     # the gradient's global norm is clipped to this
    heldout: tuple[str, ...] = ("tiny-heldout", "tiny-heldout@1")   # evaluated sets; greedy, or @temperature
    validation: str = "tiny-validation@1"          # set whose accuracy chooses the best checkpoint
    eval_every: int = 15                           # steps between evaluations, each followed by a checkpoint
    cache_gib: float = 0.0                         # GiB for keys, values and logits; 0: by what the device has free
    micro_batch_tokens: int = 4096                 # response tokens in one forward and backward (bounds activations)
    dtype: str = "float32"                         # of computation: float32 or bfloat16; the masters are fp32
    recompute: bool = False                        # activation checkpointing
    cpu_offload: bool = False                      # masters and optimizer state live in CPU memory
    seed: int = 0                                  # of all sampling


PAPER = Config(   # arXiv 2504.20571, section 3.1 and B.4, and the released script training_1.5b_pi1_r128.sh
    model="Qwen/Qwen2.5-Math-1.5B", example=("pi1",), template="qwen2.5-math",
    stop_tokens=("<|im_end|>", "<|endoftext|>"), steps=2000, rows=128, max_new_tokens=3072, temperature=0.6, lr=1e-6,
    heldout=(), validation="", eval_every=20, micro_batch_tokens=24_000, dtype="bfloat16", recompute=True)
RECIPES = {   # steps, and R1-Distill's longer responses: B.4; stop tokens: what ends a turn in the chat template
    "tiny": Config(),
    "qwen2.5-math-1.5b": PAPER,
    "qwen2.5-math-7b": replace(PAPER, model="Qwen/Qwen2.5-Math-7B", steps=1000),
    "llama-3.2-3b-instruct": replace(PAPER, model="meta-llama/Llama-3.2-3B-Instruct", steps=1000, template="chat",
                                     stop_tokens=("<|eot_id|>", "<|end_of_text|>")),
    "deepseek-r1-distill-qwen-1.5b": replace(PAPER, model="deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", steps=1200,
                                             template="chat", stop_tokens=("<｜end▁of▁sentence｜>",),
                                             max_new_tokens=8192)}


# ---------------------------------------------------------------- advantage and loss


def group_advantages(rewards: Tensor, group_size: int) -> Tensor:
    """Equation (1): rewards [B] -> advantages [B]. Groups are `group_size` neighbours, by index and not by prompt: the
    same problem 128 times is 128 groups (contract 3). A group of equal rewards gets 0 and stays in the loss, where
    entropy and KL act on it (contract 5). Raises ValueError unless group_size >= 2 divides B."""
    if group_size < 2 or len(rewards) % group_size:
        raise ValueError(f"group_size must be at least 2 and divide the {len(rewards)} rewards, got {group_size}")
    groups = rewards.view(-1, group_size)                                                  # [B/G, G]
    centred = groups - groups.mean(1, keepdim=True)
    return (centred / (groups.std(1, keepdim=True) + 1e-6)).flatten()                      # torch's std has ddof=1


def grpo_loss(logprob: Tensor, old: Tensor, reference: Tensor | None, entropy: Tensor, advantage: Tensor, tokens: float,
              *, policy_coef: float, clip: float, kl_coef: float, entropy_coef: float) -> tuple[Tensor, dict]:
    """Equations (2) to (5) over M response tokens -> (loss, sums of each term over the M tokens).

    logprob, old, reference, entropy, advantage: [M], in nats; gradients flow through logprob and entropy. `tokens`
    is the count over all micro-batches and ranks of this update: the losses of the parts add up to the loss of the
    whole, however it was split (contract 4)."""
    ratio = (logprob - old).exp()                                                                      # (2)
    pg = torch.maximum(-advantage * ratio, -advantage * ratio.clamp(1 - clip, 1 + clip))               # (3)
    d = torch.zeros_like(logprob) if reference is None else reference - logprob
    kl = (d.exp() - d - 1).clamp(-10, 10)                                                              # (4)
    loss = (policy_coef * pg + kl_coef * kl - entropy_coef * entropy).sum() / tokens                   # (5)
    clipped = (-advantage * ratio < pg).float()
    terms = dict(policy=pg, kl=kl, entropy=entropy, clip_fraction=clipped)
    return loss, {name: term.detach().sum() for name, term in terms.items()} | {"total": loss.detach() * tokens}


# ---------------------------------------------------------------- one step


@dataclass
class Run:
    """What a run holds besides its settings."""
    world: policy.World
    problems: list[data.Problem]                # the training examples
    prompts: list[Tensor]                       # [P] tokens of each
    sets: dict[str, list[data.Problem]]         # what is evaluated
    tokenizer: object
    stop_ids: list[int]
    dtype: torch.dtype                          # of computation
    decoding: int                               # responses that can decode at a time on each rank
    actor: model.Decoder                        # the policy: sharded fp32 masters
    reference: model.Decoder | None             # the frozen base model, sharded
    optimizer: torch.optim.Optimizer


@dataclass
class Batch:
    """This rank's B responses of a step, in group order."""
    examples: list[int]         # [B/G], which problem each group answers
    prompts: list[Tensor]       # [P_i]
    responses: list[Tensor]     # [T_i], stop token included
    behaviour: list[Tensor]     # [T_i], log-probs of the tokens when they were sampled
    texts: list[str]
    finished: list[bool]
    rewards: Tensor             # [B]
    advantages: Tensor          # [B]


def problem_of_row(row: int, problems: int, seed: int) -> int:
    """Which problem the run's row number `row` holds: epoch after epoch through all, each in an order of its own."""
    epoch, place = divmod(row, problems)
    order = torch.randperm(problems, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))
    return int(order[place])


def rollout(config: Config, run: Run, step: int) -> tuple[Batch, dict[str, float]]:
    """Sample this rank's share of the step's rows x group_size responses and grade them -> (Batch, metrics)."""
    clock, world, G = time.perf_counter(), run.world, config.group_size
    # Of the step's rows, rank r has every size-th: so an update takes the same rows whatever the number of ranks
    rows = range(world.rank, config.rows, world.size)
    chosen = [problem_of_row((step - 1) * config.rows + row, len(run.problems), config.seed) for row in rows]
    rollouts = generate(policy.gathered(run.actor, world.device, run.dtype), [run.prompts[i] for i in chosen], n=G,
                        max_new_tokens=config.max_new_tokens, temperature=config.temperature, stop_ids=run.stop_ids,
                        seed=config.seed, step=step, sequences=[row * G + i for row in rows for i in range(G)],
                        cache_gib=config.cache_gib)
    sampled = time.perf_counter()
    texts = run.tokenizer.batch_decode(rollouts.tokens, skip_special_tokens=True)
    # The response alone is graded: the prompt has a \boxed{} of its own (contract 9)
    if config.reward == "format":       # the paper's baseline: any boxed answer
        graded = verify.Rewards(float(verify.extract_answer(text, require_box=True) is not None) for text in texts)
    else:
        graded = verify.rewards(texts, [run.problems[i].answer for i in chosen for _ in range(G)], require_box=True)
    rewards = torch.tensor(graded)                                                                            # [B]
    batch = Batch(chosen, [run.prompts[i] for i in chosen for _ in range(G)], rollouts.tokens, rollouts.logprobs, texts,
                  rollouts.finished, rewards, group_advantages(rewards, G))
    done = time.perf_counter()
    sums = {"train/accuracy": rewards.sum().item(), "train/boxed": sum("\\boxed" in text for text in texts),
            "train/length": sum(map(len, batch.responses)), "train/finished": sum(batch.finished),
            "train/groups_without_variance": G * (batch.advantages.view(-1, G) == 0).all(1).sum().item()}
    means = [total / (config.rows * G) for total in world.sum(*sums.values())]
    timeouts, errors = world.sum(graded.timeouts, graded.errors)              # counted, not swallowed (contract 10)
    return batch, dict(zip(sums, means)) | {"verify/timeouts": timeouts, "verify/errors": errors,
                                            "time/sample": sampled - clock, "time/verify": done - sampled}


@dataclass
class MicroBatch:
    """One forward and backward pass: M response tokens of some sequences."""
    packed: policy.Packed
    advantage: Tensor           # [M]
    behaviour: Tensor           # [M]
    old: Tensor | None          # [M], log-probs before the first update; None: the current ones
    reference: Tensor | None    # [M], log-probs under the frozen base model


@torch.no_grad()
def score(config: Config, run: Run, batch: Batch) -> list[list[MicroBatch]]:
    """Pack the batch into micro-batches, for each of the step's updates, with old and reference log-probs."""
    updates, B, device = config.updates_per_rollout, len(batch.responses), run.world.device
    scored = []
    for number in range(updates):
        mine = range(B * number // updates, B * (number + 1) // updates)      # whole groups: `record.check` saw to it
        scored.append([])
        for part in policy.micro_batches([len(batch.responses[i]) for i in mine], config.micro_batch_tokens, run.world):
            part = [mine[i] for i in part]
            packed = policy.pack([batch.prompts[i] for i in part], [batch.responses[i] for i in part], device,
                                 run.dtype)
            advantage = torch.cat([batch.advantages[i].expand(len(batch.responses[i])) for i in part])        # [M]
            behaviour = torch.cat([batch.behaviour[i] for i in part])                                         # [M]
            old = policy.token_logprobs(run.actor, packed, config.temperature)[0] if updates > 1 else None
            reference = policy.token_logprobs(run.reference, packed, config.temperature)[0] if run.reference else None
            scored[-1].append(MicroBatch(packed, advantage.to(device), behaviour.to(device), old, reference))
    return scored


def update(config: Config, run: Run, micro_batches: list[MicroBatch]) -> dict[str, float]:
    """One optimizer step on the loss (5) -> its terms per token, and the gap between sampling and training."""
    world, sums, gap_max = run.world, {}, torch.zeros((), device=run.world.device)
    (tokens,) = world.sum(sum(len(m.advantage) for m in micro_batches))       # one count for all (contract 4)
    for m in micro_batches:
        logprob, entropy = policy.token_logprobs(run.actor, m.packed, config.temperature)
        old = logprob.detach() if m.old is None else m.old
        loss, terms = grpo_loss(logprob, old, m.reference, entropy, m.advantage, tokens, policy_coef=config.policy_coef,
                                clip=config.clip, kl_coef=config.kl_coef, entropy_coef=config.entropy_coef)
        (loss * world.size).backward()                     # FSDP averages gradients over ranks; we want their sum
        gap = (old - m.behaviour).abs()                    # sampling and training agree on a token (contract 7)
        gap_max = torch.maximum(gap_max, gap.max())
        sums = {name: sums.get(name, 0.0) + term for name, term in (terms | {"gap": gap.sum()}).items()}
    norm = torch.nn.utils.clip_grad_norm_(run.actor.parameters(), config.max_grad_norm).full_tensor().item()
    if not math.isfinite(norm):       # stop before it spoils the weights and, at the next save, the last good ones
        record.fail(f"the gradient's norm is {norm}; use a lower --lr, and --resume if runs/NAME has a checkpoint")
    run.optimizer.step()
    run.optimizer.zero_grad()
    means = dict(zip(sums, (total / tokens for total in world.sum(*sums.values()))))
    return {"train/logprob_gap": means.pop("gap"), "train/logprob_gap_max": max(world.gather([gap_max.item()])),
            "optim/grad_norm": norm} | {f"loss/{name}": mean for name, mean in means.items()}


def evaluations(config: Config, run: Run) -> dict[str, float]:
    """eval/<set>/<metric> of every set, by the weights as they are now."""
    plain = policy.gathered(run.actor, run.world.device, run.dtype)
    return evaluate_sets(plain, run.tokenizer, run.sets, run.world, template=config.template, stop_ids=run.stop_ids,
                         max_new_tokens=config.max_new_tokens, seed=config.seed, cache_gib=config.cache_gib)


# ---------------------------------------------------------------- the run


def prepare(config: Config, world: policy.World) -> Run:
    """Load all that the settings name. ValueError or FileNotFoundError in one line, before anything is written."""
    record.check(config, world)
    if config.group_size < 2:
        raise ValueError("--group-size must be at least 2: a response is compared with the rest of its group")
    if config.reward not in ("outcome", "format"):
        raise ValueError(f"--reward must be outcome or format, got {config.reward!r}")
    problems = record.load_examples(config.example, config.label)
    sets = {name: data.load(source_and_temperature(name)[0]) for name in (*config.heldout, config.validation) if name}
    tokenizer, dtype = model.load_tokenizer(config.model), getattr(torch, config.dtype)
    stop_ids = data.stop_ids(tokenizer, config.stop_tokens)
    prompts, *others = [[data.encode(tokenizer, data.render(tokenizer, p.question, config.template)) for p in each]
                        for each in (problems, *sets.values())]
    actor = model.load(config.model, torch.float32, "cpu" if config.cpu_offload else world.device)
    decoding = rows_that_fit(actor.config, sum(others, prompts), config.rows * config.group_size // world.size,
                             config.max_new_tokens, config.temperature, stop_ids, config.cache_gib, dtype, world.device)
    policy.shard(actor, world.mesh, dtype, recompute=config.recompute, cpu_offload=config.cpu_offload)
    reference = None
    if config.kl_coef:
        reference = model.load(config.model, dtype, world.device).requires_grad_(False)
        policy.shard(reference, world.mesh, dtype)
    optimizer = torch.optim.AdamW(actor.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    return Run(world, problems, prompts, sets, tokenizer, stop_ids, dtype, decoding, actor, reference, optimizer)


def train(config: Config, recipe: str) -> None:
    """Train as `config` says; everything that is written stands in runs/NAME."""
    world = policy.start()
    try:
        run = prepare(config, world)
        done = record.resume(config, run.actor, run.optimizer)
        folder = record.open_run(config, recipe, world)
    except (ValueError, FileNotFoundError) as error:
        record.fail(error)
    record.rewind(folder, done, world)
    record.announce(config, run, folder)
    if done == 0:
        record.append(folder / "metrics.jsonl", [{"step": 0} | evaluations(config, run)], world)
    bar = tqdm(range(done + 1, config.steps + 1), initial=done, total=config.steps, unit="step", disable=world.rank > 0)
    shown = {}
    for step in bar:
        clock = time.perf_counter()
        batch, metrics = rollout(config, run, step)
        if step == 1 and world.rank == 0:
            record.report_base(metrics, bar)
        scoring = time.perf_counter()
        scored = score(config, run, batch)
        updating = time.perf_counter()
        updates = [update(config, run, micro_batches) for micro_batches in scored]
        metrics |= {name: sum(u[name] for u in updates) / len(updates) for name in updates[0]}
        metrics["train/logprob_gap_max"] = max(u["train/logprob_gap_max"] for u in updates)
        end = time.perf_counter()
        metrics |= {"time/score": updating - scoring, "time/update": end - updating, "time/step": end - clock}
        if evaluating := step % config.eval_every == 0 or step == config.steps:
            metrics |= evaluations(config, run)
        record.append(folder / "metrics.jsonl", [{"step": step} | metrics], world)
        record.append(folder / "rollouts.jsonl", samples(batch, step, config.group_size), world)
        record.append(folder / "histories.jsonl", record.histories(run, batch, step), world)
        if evaluating:
            policy.save_checkpoint(folder / "checkpoints" / f"step_{step}", run.actor, run.optimizer, run.tokenizer,
                                   world, run.dtype)
        shown |= record.highlights(metrics, run.sets)
        bar.set_postfix({name: f"{value:.3g}" for name, value in shown.items()})
    record.finish(folder, config.validation, world)
    dist.destroy_process_group()


def samples(batch: Batch, step: int, count: int) -> list[dict]:
    """The first responses of a step, for a person to look at."""
    return [dict(step=step, reward=batch.rewards[i].item(), advantage=batch.advantages[i].item(),
                 length=len(batch.responses[i]), finished=batch.finished[i], text=batch.texts[i]) for i in range(count)]


if __name__ == "__main__":
    train(*record.parse(Config, RECIPES, sys.argv[1:]))
