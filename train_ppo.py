"""PPO on ONE training example: train_grpo.py with a critic. Read that first, then `diff train_grpo.py train_ppo.py`.

GRPO compares a response with its group. Here a second transformer, the critic, guesses at every token t how much
reward is still to come, V_t; and what turned out better than its guess becomes likelier, token by token:

    (1)  r_t  = [t is the last token] r - kl_coef (log pi_old - log pi_ref)      KL (k1) as a price of every token
    (2)  A_t  = delta_t + gamma lam A_(t+1),   delta_t = r_t + gamma V_(t+1) - V_t     GAE (arXiv 1506.02438)
    (3)  R_t  = A_t + V_t                                                        the return: what V_t should be
    (4)  A_t <- (A_t - mean(A)) / sqrt(var(A) + 1e-8)                            over all tokens of the step, ddof=1
    (5)  rho  = pi(token) / pi_old(token)                                        for every response token
    (6)  L_pg = max(-A rho, -A clip(rho, 1 - clip, 1 + clip))
    (7)  L    = sum over tokens (L_pg - entropy_coef H) / number of tokens in the update
    (8)  L_V  = sum over tokens 0.5 max((V - R)^2, (clip(V, V_old - 0.5, V_old + 0.5) - R)^2) / the same number

With gamma = lam = 1, (2) is the reward to go minus V_t. --kl-in-loss moves the KL from (1) to (7), as in GRPO. The
paper states no PPO settings: these are its code base's, but for one critic update per actor update, where that makes 8.

    torchrun train_ppo.py                                              # laptop: about two minutes on 2 cores
    torchrun --nproc-per-node 8 train_ppo.py qwen2.5-math-1.5b         # the paper's recipe
"""

import math
import os
import sys
import time
from dataclasses import dataclass, fields

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
import train_grpo
import verify
from evaluate import source_and_temperature
from sample import generate, rows_that_fit


@dataclass(frozen=True)
class Config:
    """Every setting; the defaults are the laptop recipe. A recipe's name before the options picks other defaults."""
    model: str = "tiny-base"                       # Hugging Face folder or hub id of the base model
    example: tuple[str, ...] = ("tiny-add",)       # training problems: names in data.py, .jsonl or .parquet files
    template: str = "chat"                         # prompt: the tokenizer's chat template, or one of data.TEMPLATES
    stop_tokens: tuple[str, ...] = ("<|endoftext|>",)   # a response ends at the first of these
    name: str = ""                                 # results go to runs/NAME; empty: the recipe's, numbered if taken
    resume: str = ""                               # folder of a run to go on with, under its own settings
    steps: int = 60                                # rollout steps
    rows: int = 16                                 # prompts a step, the examples repeated evenly
    group_size: int = 8                            # responses to each row; compared with V_t, not with each other
    max_new_tokens: int = 160                      # longest response
    temperature: float = 1.0                       # of sampling, log-probs and entropies; top-p and top-k do not exist
    updates_per_rollout: int = 1                   # 1: the released code; 8: the paper's text (see README.md)
    gamma: float = 1.0                             # discount of (2); 1: a late reward counts as much as an early one
    lam: float = 1.0                               # GAE's lambda; 1: trust rewards, not the critic's later guesses
    clip: float = 0.2                              # ratio clip of (6); acts only if updates_per_rollout > 1
    kl_coef: float = 0.001                         # weight of the KL in (1); 0: no reference model is held
    kl_in_loss: bool = False                       # the KL enters (7), as GRPO's k3, instead of the reward (1)
    entropy_coef: float = 0.001                    # weight of the entropy H in (7)
    lr: float = 1e-4                               # AdamW, constant (a 0.8 M model bears 100 times the paper's)
    critic_lr: float = 1e-3                        # AdamW, constant; ten times lr as in the paper's recipe
    max_grad_norm: float = 1.0                     # each gradient's global norm is clipped to this
    heldout: tuple[str, ...] = ("tiny-heldout", "tiny-heldout@1")   # evaluated sets; greedy, or @temperature
    validation: str = "tiny-validation@1"          # set whose accuracy chooses the best checkpoint
    eval_every: int = 15                           # steps between evaluations, each followed by a checkpoint
    cache_gib: float = 0.0                         # GiB for keys, values and logits; 0: by what the device has free
    micro_batch_tokens: int = 4096                 # response tokens in one forward and backward (bounds activations)
    dtype: str = "float32"                         # of computation: float32 or bfloat16; the masters are fp32
    recompute: bool = False                        # activation checkpointing
    cpu_offload: bool = False                      # masters and optimizer state live in CPU memory
    seed: int = 0                                  # of all sampling


# GRPO's recipes, each with a critic that learns as fast as in the paper's code base (lr 1e-5, ten times the policy's)
RECIPES = {name: Config(**{f.name: getattr(grpo, f.name) for f in fields(Config) if hasattr(grpo, f.name)},
                        critic_lr=1e-3 if name == "tiny" else 1e-5) for name, grpo in train_grpo.RECIPES.items()}


# ---------------------------------------------------------------- advantage and loss


def gae(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float = 1.0, lam: float = 1.0) -> tuple[Tensor, Tensor]:
    """Equations (2) and (3): rewards, values, mask [B, T] -> (advantages, returns) [B, T], not whitened. Where mask is
    false nothing is read and 0 is written. Behind the last token V and A are 0, also if the response was cut off."""
    advantages, mask = torch.zeros_like(rewards), mask.bool()
    later_value, later_advantage = torch.zeros_like(rewards[:, 0]), torch.zeros_like(rewards[:, 0])    # [B]
    for t in reversed(range(rewards.shape[1])):
        delta = rewards[:, t] + gamma * later_value - values[:, t]
        later_advantage = torch.where(mask[:, t], delta + gamma * lam * later_advantage, later_advantage)
        later_value = torch.where(mask[:, t], values[:, t], later_value)
        advantages[:, t] = later_advantage
    return advantages.where(mask, 0), (advantages + values).where(mask, 0)


def moments(parts: list[Tensor], world: policy.World) -> tuple[float, float]:
    """Mean and variance (ddof=1) over the elements of all `parts` of all ranks."""
    count, total = world.sum(sum(len(p) for p in parts), sum(p.double().sum().item() for p in parts))
    (squares,) = world.sum(sum((p.double() - total / count).square().sum().item() for p in parts))
    return total / count, squares / max(count - 1, 1)


def ppo_loss(logprob: Tensor, old: Tensor, reference: Tensor | None, entropy: Tensor, advantage: Tensor, tokens: float,
             *, clip: float, kl_coef: float, entropy_coef: float) -> tuple[Tensor, dict]:
    """Equations (5) to (7) over M response tokens -> (loss, sums of each term over the M tokens).

    logprob, old, reference, entropy, advantage: [M], in nats; gradients flow through logprob and entropy. `tokens`
    is the count over all micro-batches and ranks of this update (contract 4). `kl_coef`: of the KL as a loss (k3)."""
    ratio = (logprob - old).exp()                                                                      # (5)
    pg = torch.maximum(-advantage * ratio, -advantage * ratio.clamp(1 - clip, 1 + clip))               # (6)
    d = torch.zeros_like(logprob) if reference is None else reference - logprob
    kl = (d.exp() - d - 1).clamp(-10, 10)
    loss = (pg + kl_coef * kl - entropy_coef * entropy).sum() / tokens                                 # (7)
    clipped = (-advantage * ratio < pg).float()
    terms = dict(policy=pg, kl=kl, entropy=entropy, clip_fraction=clipped, approx_kl=ratio - 1 - (logprob - old))
    return loss, {name: term.detach().sum() for name, term in terms.items()} | {"total": loss.detach() * tokens}


def value_loss(value: Tensor, old: Tensor, returns: Tensor, tokens: float, clip: float = 0.5) -> tuple[Tensor, dict]:
    """Equation (8) over M response tokens -> (loss, sums of each term over the M tokens). value, old (V before the
    first update), returns: [M]; gradients flow through value, until it has moved by `clip` towards the return."""
    unclipped = (value - returns).square()
    clipped = (value.clamp(old - clip, old + clip) - returns).square()
    term = 0.5 * torch.maximum(unclipped, clipped)                                                     # (8)
    sums = dict(value=term.detach().sum(), value_clip_fraction=(clipped > unclipped).float().sum())
    return term.sum() / tokens, sums


# ---------------------------------------------------------------- one step


@dataclass
class Run(train_grpo.Run):
    """What a run holds besides its settings: all that GRPO's does, and the critic."""
    critic: model.Decoder                       # sharded fp32 masters too
    critic_optimizer: torch.optim.Optimizer


@dataclass
class Batch:
    """This rank's B responses of a step, row by row."""
    examples: list[int]         # [B/G], which problem each row holds
    prompts: list[Tensor]       # [P_i]
    responses: list[Tensor]     # [T_i], stop token included
    behaviour: list[Tensor]     # [T_i], log-probs of the tokens when they were sampled
    texts: list[str]
    finished: list[bool]
    rewards: Tensor             # [B]


def rollout(config: Config, run: Run, step: int) -> tuple[Batch, dict[str, float]]:
    """Sample this rank's share of the step's rows x group_size responses and grade them -> (Batch, metrics)."""
    clock, world, G = time.perf_counter(), run.world, config.group_size
    # Of the step's rows, rank r has every size-th: so an update takes the same rows whatever the number of ranks
    rows = range(world.rank, config.rows, world.size)
    chosen = [train_grpo.problem_of_row((step - 1) * config.rows + row, len(run.problems), config.seed)
              for row in rows]
    rollouts = generate(policy.gathered(run.actor, world.device, run.dtype), [run.prompts[i] for i in chosen], n=G,
                        max_new_tokens=config.max_new_tokens, temperature=config.temperature, stop_ids=run.stop_ids,
                        seed=config.seed, step=step, sequences=[row * G + i for row in rows for i in range(G)],
                        cache_gib=config.cache_gib)
    sampled = time.perf_counter()
    texts = run.tokenizer.batch_decode(rollouts.tokens, skip_special_tokens=True)
    # The response alone is graded: the prompt has a \boxed{} of its own (contract 9)
    graded = verify.rewards(texts, [run.problems[i].answer for i in chosen for _ in range(G)], require_box=True)
    rewards = torch.tensor(graded)                                                                            # [B]
    batch = Batch(chosen, [run.prompts[i] for i in chosen for _ in range(G)], rollouts.tokens, rollouts.logprobs, texts,
                  rollouts.finished, rewards)
    done = time.perf_counter()
    sums = {"train/accuracy": rewards.sum().item(), "train/boxed": sum("\\boxed" in text for text in texts),
            "train/length": sum(map(len, batch.responses)), "train/finished": sum(batch.finished)}
    means = [total / (config.rows * G) for total in world.sum(*sums.values())]
    timeouts, errors = world.sum(graded.timeouts, graded.errors)
    return batch, dict(zip(sums, means)) | {"verify/timeouts": timeouts, "verify/errors": errors,
                                            "time/sample": sampled - clock, "time/verify": done - sampled}


@dataclass
class MicroBatch(train_grpo.MicroBatch):
    """One forward and backward pass over M response tokens: what GRPO's holds, and what the critic learns from."""
    returns: Tensor             # [M], R
    value: Tensor               # [M], V before the first update


@torch.no_grad()
def score(config: Config, run: Run, batch: Batch) -> tuple[list[list[MicroBatch]], dict[str, float]]:
    """Pack the batch into micro-batches, for each of the step's updates, with all that (5) to (8) need; and metrics."""
    updates, B, device = config.updates_per_rollout, len(batch.responses), run.world.device
    scored = []
    for number in range(updates):
        mine = range(B * number // updates, B * (number + 1) // updates)      # whole rows: `record.check` saw to it
        scored.append([])
        for part in policy.micro_batches([len(batch.responses[i]) for i in mine], config.micro_batch_tokens, run.world):
            part = [mine[i] for i in part]
            packed = policy.pack([batch.prompts[i] for i in part], [batch.responses[i] for i in part], device,
                                 run.dtype)
            behaviour = torch.cat([batch.behaviour[i] for i in part])                                         # [M]
            old = policy.token_logprobs(run.actor, packed, config.temperature)[0] if updates > 1 else None
            reference = policy.token_logprobs(run.reference, packed, config.temperature)[0] if run.reference else None
            value = policy.token_values(run.critic, packed)                                                   # [M]
            lengths = torch.tensor([len(batch.responses[i]) for i in part])                                   # [b]
            rewards = torch.zeros(len(value))                                                             # (1), [M]
            if reference is not None and not config.kl_in_loss:
                # log pi_old is what the token was sampled with: recomputed, it would be the same (contract 7)
                rewards -= config.kl_coef * (behaviour - reference.cpu())
            rewards[lengths.cumsum(0) - 1] += batch.rewards[part]
            mask = torch.arange(int(lengths.max())) < lengths[:, None]                                        # [b, T]
            padded = [torch.zeros(mask.shape).masked_scatter(mask, x.cpu()) for x in (rewards, value)]
            advantage, returns = (x[mask] for x in gae(*padded, mask, config.gamma, config.lam))              # [M]
            scored[-1].append(MicroBatch(packed, advantage.to(device), behaviour.to(device), old, reference,
                                         returns.to(device), value))
    flat = [m for micro_batches in scored for m in micro_batches]
    mean, variance = moments([m.advantage for m in flat], run.world)
    for m in flat:
        m.advantage = (m.advantage - mean) / (variance + 1e-8) ** 0.5                                         # (4)
    spread, error = (moments(x, run.world)[1] for x in ([m.returns for m in flat], [m.returns - m.value for m in flat]))
    return scored, {"critic/value": moments([m.value for m in flat], run.world)[0],
                    "critic/explained_variance": 1 - error / spread if spread > 1e-4 else 0.0}


def update(config: Config, run: Run, micro_batches: list[MicroBatch]) -> dict[str, float]:
    """One optimizer step on (7) and one on (8) -> their terms per token, and the gap between sampling and training."""
    world, sums, gap_max = run.world, {}, torch.zeros((), device=run.world.device)
    (tokens,) = world.sum(sum(len(m.advantage) for m in micro_batches))       # one count for all (contract 4)
    for m in micro_batches:
        logprob, entropy = policy.token_logprobs(run.actor, m.packed, config.temperature)
        old = logprob.detach() if m.old is None else m.old
        loss, terms = ppo_loss(logprob, old, m.reference, entropy, m.advantage, tokens, clip=config.clip,
                               kl_coef=config.kl_coef * config.kl_in_loss, entropy_coef=config.entropy_coef)
        (loss * world.size).backward()                     # FSDP averages gradients over ranks; we want their sum
        critic_loss, critic_terms = value_loss(policy.token_values(run.critic, m.packed), m.value, m.returns, tokens)
        (critic_loss * world.size).backward()
        gap = (old - m.behaviour).abs()                    # sampling and training agree on a token (contract 7)
        gap_max = torch.maximum(gap_max, gap.max())
        sums = {name: sums.get(name, 0.0) + term for name, term in (terms | critic_terms | {"gap": gap.sum()}).items()}
    norms = [torch.nn.utils.clip_grad_norm_(part.parameters(), config.max_grad_norm).full_tensor().item()
             for part in (run.actor, run.critic)]
    if not math.isfinite(sum(norms)):  # before it spoils the weights and, with the next checkpoint, the last good ones
        record.fail(f"the gradient norms are {norms}; use lower --lr and --critic-lr, and --resume if runs/NAME has a "
                    "checkpoint")
    for optimizer in (run.optimizer, run.critic_optimizer):
        optimizer.step()
        optimizer.zero_grad()
    means = dict(zip(sums, (total / tokens for total in world.sum(*sums.values()))))
    return {"train/logprob_gap": means.pop("gap"), "train/logprob_gap_max": max(world.gather([gap_max.item()])),
            "optim/grad_norm": norms[0],
            "optim/critic_grad_norm": norms[1]} | {f"loss/{name}": mean for name, mean in means.items()}


# ---------------------------------------------------------------- the run


def load_critic(folder: str, device: torch.device | str) -> model.Decoder:
    """The policy's network and weights, with a head for one number, V, in place of the vocabulary's. It starts at zero:
    so the first advantages are plain rewards, where a random head would add noise."""
    critic = model.load(folder, torch.float32, device)
    critic.config.tie_word_embeddings = False                      # the head is lm_head, no longer the embedding
    critic.lm_head = torch.nn.Linear(critic.config.hidden_size, 1, bias=False, device=device)
    torch.nn.init.zeros_(critic.lm_head.weight)
    return critic


def prepare(config: Config, world: policy.World) -> Run:
    """Load all that the settings name. ValueError or FileNotFoundError in one line, before anything is written."""
    record.check(config, world)
    if not (0 <= config.gamma <= 1 and 0 <= config.lam <= 1):
        raise ValueError(f"--gamma and --lam must be in [0, 1], got {config.gamma} and {config.lam}")
    problems = record.load_examples(config.example)
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
    critic = load_critic(config.model, "cpu" if config.cpu_offload else world.device)
    if len(tokenizer) > critic.config.vocab_size:
        raise ValueError(f"the tokenizer has {len(tokenizer)} tokens, the critic knows {critic.config.vocab_size}")
    policy.shard(critic, world.mesh, dtype, recompute=config.recompute, cpu_offload=config.cpu_offload)
    optimizer, critic_optimizer = (torch.optim.AdamW(part.parameters(), lr=lr, weight_decay=0.01)      # decoupled
                                   for part, lr in ((actor, config.lr), (critic, config.critic_lr)))
    return Run(world, problems, prompts, sets, tokenizer, stop_ids, dtype, decoding, actor, reference, optimizer,
               critic, critic_optimizer)


def train(config: Config, recipe: str) -> None:
    """Train as `config` says; everything that is written stands in runs/NAME."""
    world = policy.start()
    try:
        run = prepare(config, world)
        others = dict(critic=(run.critic, run.critic_optimizer))
        done = record.resume(config, run.actor, run.optimizer, **others)
        folder = record.open_run(config, recipe, world)
    except (ValueError, FileNotFoundError) as error:
        record.fail(error)
    record.rewind(folder, done, world)
    record.announce(config, run, folder)
    if done == 0:
        record.append(folder / "metrics.jsonl", [{"step": 0} | train_grpo.evaluations(config, run)], world)
    bar = tqdm(range(done + 1, config.steps + 1), initial=done, total=config.steps, unit="step", disable=world.rank > 0)
    shown = {}
    for step in bar:
        clock = time.perf_counter()
        batch, metrics = rollout(config, run, step)
        if step == 1 and world.rank == 0:
            record.report_base(metrics, bar)
        scoring = time.perf_counter()
        scored, critic = score(config, run, batch)
        updating = time.perf_counter()
        updates = [update(config, run, micro_batches) for micro_batches in scored]
        metrics |= critic | {name: sum(u[name] for u in updates) / len(updates) for name in updates[0]}
        metrics["train/logprob_gap_max"] = max(u["train/logprob_gap_max"] for u in updates)
        end = time.perf_counter()
        metrics |= {"time/score": updating - scoring, "time/update": end - updating, "time/step": end - clock}
        if evaluating := step % config.eval_every == 0 or step == config.steps:
            metrics |= train_grpo.evaluations(config, run)
        record.append(folder / "metrics.jsonl", [{"step": step} | metrics], world)
        record.append(folder / "rollouts.jsonl", samples(batch, step, config.group_size), world)
        record.append(folder / "histories.jsonl", record.histories(run, batch, step), world)
        if evaluating:
            policy.save_checkpoint(folder / "checkpoints" / f"step_{step}", run.actor, run.optimizer, run.tokenizer,
                                   world, run.dtype, **others)
        shown |= record.highlights(metrics, run.sets)
        bar.set_postfix({name: f"{value:.3g}" for name, value in shown.items()})
    record.finish(folder, config.validation, world)
    dist.destroy_process_group()


def samples(batch: Batch, step: int, count: int) -> list[dict]:
    """The first responses of a step, for a person to look at."""
    return [dict(step=step, reward=batch.rewards[i].item(), length=len(batch.responses[i]),
                 finished=batch.finished[i], text=batch.texts[i]) for i in range(count)]


if __name__ == "__main__":
    train(*record.parse(Config, RECIPES, sys.argv[1:]))
