"""train_ppo.py: GAE and both losses against hand numbers and float64, the critic's view, and real (tiny) runs."""

import json
import math
from dataclasses import fields, replace

import pytest
import torch
from conftest import FAMILIES, ROOT, run_script

import data
import model
import policy
import record
import train_grpo
import train_ppo
import verify

CPU = torch.device("cpu")

# ---------------------------------------------------------------- equations (2) and (3)


def test_gae_of_three_tokens_by_hand():
    """gamma = 1/2, lam = 1/2; V = 1, 2, 4; r = 0, 1, 8. From the end: delta_3 = 8 - 4 = 4, delta_2 = 1 + 4/2 - 2 = 1,
    delta_1 = 0 + 2/2 - 1 = 0; A_3 = 4, A_2 = 1 + 4/4 = 2, A_1 = 0 + 2/4 = 1/2."""
    rewards, values = torch.tensor([[0.0, 1.0, 8.0]]).double(), torch.tensor([[1.0, 2.0, 4.0]]).double()
    advantages, returns = train_ppo.gae(rewards, values, torch.ones(1, 3), 0.5, 0.5)
    assert advantages.tolist() == [[0.5, 2, 4]] and returns.tolist() == [[1.5, 4, 8]]


def random_episodes(B=6, T=9):
    """rewards, values [B, T] in float64 with nonsense in the padding, mask [B, T] of lengths 1 to T."""
    g = torch.Generator().manual_seed(0)
    rewards, values = (torch.randn(B, T, generator=g, dtype=torch.float64) for _ in range(2))
    mask = torch.arange(T) < torch.tensor([1, 2, 4, 5, 8, 9])[:, None]
    return rewards.where(mask, torch.nan), values.where(mask, torch.inf), mask


@pytest.mark.parametrize("gamma, lam", [(1, 1), (0.9, 0.95), (1, 0), (0, 1), (0.5, 0.3)])
def test_gae_is_the_discounted_sum_of_all_later_deltas(gamma, lam):
    """The definition, with two loops: A_t = sum over k of (gamma lam)^k delta_(t+k)."""
    rewards, values, mask = random_episodes()
    advantages, returns = train_ppo.gae(rewards, values, mask, gamma, lam)
    for b, length in enumerate(mask.sum(1).tolist()):
        r, V = rewards[b, :length].tolist(), values[b, :length].tolist() + [0.0]
        for t in range(length):
            A = sum((gamma * lam) ** (s - t) * (r[s] + gamma * V[s + 1] - V[s]) for s in range(t, length))
            assert advantages[b, t].item() == pytest.approx(A, abs=1e-12)
            assert returns[b, t].item() == pytest.approx(A + V[t], abs=1e-12)


def test_with_gamma_and_lam_1_the_advantage_is_the_reward_to_go_minus_the_value():
    rewards, values, mask = random_episodes()
    advantages, returns = train_ppo.gae(rewards, values, mask)
    to_go = rewards.nan_to_num().flip(1).cumsum(1).flip(1).where(mask, 0)
    torch.testing.assert_close(returns, to_go)
    torch.testing.assert_close(advantages, (to_go - values).where(mask, 0))


def test_gae_is_exact_at_the_last_token_and_zero_on_padding():
    rewards, values, mask = random_episodes()
    advantages, returns = train_ppo.gae(rewards, values, mask, 0.9, 0.95)
    last = (range(6), mask.sum(1) - 1)
    assert torch.equal(advantages[last], rewards[last] - values[last])           # nothing comes behind it
    assert (advantages[~mask] == 0).all() and (returns[~mask] == 0).all()


def test_padding_anywhere_changes_nothing():
    rewards, values, mask = random_episodes()
    wide = torch.zeros(6, 20, dtype=torch.bool)
    wide[:, 3:20:2] = mask                                                       # before, between and behind
    nothing = torch.full((6, 20), torch.nan, dtype=torch.float64)
    spread = [nothing.masked_scatter(wide, x[mask]) for x in (rewards, values)]
    tight = train_ppo.gae(rewards, values, mask, 0.9, 0.95)
    for got, expected in zip(train_ppo.gae(*spread, wide, 0.9, 0.95), tight, strict=True):
        assert torch.equal(got[wide], expected[mask]) and (got[~wide] == 0).all()


# ---------------------------------------------------------------- equations (4) to (8)


def test_moments_are_those_of_all_parts_together(world):
    """1, 2, 3, 6: mean 3, squares 4 + 1 + 0 + 9 = 14 over 4 - 1."""
    mean, variance = train_ppo.moments([torch.tensor([1.0, 2.0]), torch.tensor([3.0, 6.0])], world)
    assert (mean, variance) == (3, pytest.approx(14 / 3))


def random_tokens(M=200, spread=0.5):
    """logprob, old, reference, entropy, advantage [M] in float64, with ratios on both sides of the clip."""
    g = torch.Generator().manual_seed(0)
    logprob = -torch.rand(M, generator=g, dtype=torch.float64) * 3
    old, reference = (logprob + spread * torch.randn(M, generator=g, dtype=torch.float64) for _ in range(2))
    entropy = torch.rand(M, generator=g, dtype=torch.float64)
    return logprob, old, reference, entropy, torch.randn(M, generator=g, dtype=torch.float64)


@pytest.mark.parametrize("kl_coef", [0.0, 0.05])
def test_policy_loss_and_gradient_equal_an_independent_float64_loop_clipped_on_both_sides(kl_coef):
    tokens = logprob, old, reference, entropy, advantage = random_tokens()
    logprob.requires_grad_(), entropy.requires_grad_()
    loss, sums = train_ppo.ppo_loss(*tokens, 321, clip=0.2, kl_coef=kl_coef, entropy_coef=0.03)
    loss.backward()
    total, above, below, approx_kl, d_logprob = 0.0, 0, 0, 0.0, []
    for x, o, f, h, a in zip(*(t.tolist() for t in tokens), strict=True):
        ratio = math.exp(x - o)
        above += (acting_above := a > 0 and ratio > 1.2)       # already likelier by 20%: no more gain
        below += (acting_below := a < 0 and ratio < 0.8)
        pg = -a * (1.2 if acting_above else 0.8 if acting_below else ratio)
        total += pg + kl_coef * (math.exp(f - x) - (f - x) - 1) - 0.03 * h
        approx_kl += ratio - 1 - (x - o)
        d_logprob.append((0.0 if acting_above or acting_below else -a * ratio) + kl_coef * (1 - math.exp(f - x)))
    assert above > 10 and below > 10 and sums["clip_fraction"].item() == above + below < 150
    assert loss.item() == pytest.approx(total / 321, rel=1e-12)
    assert sums["approx_kl"].item() == pytest.approx(approx_kl) and approx_kl > 0
    torch.testing.assert_close(logprob.grad, torch.tensor(d_logprob, dtype=torch.float64) / 321)
    torch.testing.assert_close(entropy.grad, torch.full((200,), -0.03 / 321, dtype=torch.float64))


def test_value_loss_by_hand():
    """R = 1, V_old = 0, clip 0.5. V = 0.8 went too far: charged as 0.5, 0.5 * 0.25, no gradient. 0.3: 0.5 * 0.49."""
    value = torch.tensor([0.8, 0.3], requires_grad=True)
    loss, sums = train_ppo.value_loss(value, torch.zeros(2), torch.ones(2), 2)
    loss.backward()
    assert loss.item() == pytest.approx((0.125 + 0.245) / 2) and sums["value_clip_fraction"] == 1
    torch.testing.assert_close(value.grad, torch.tensor([0.0, -0.7 / 2]))


def test_value_loss_and_gradient_equal_an_independent_float64_loop_clipped_on_both_sides():
    g = torch.Generator().manual_seed(1)
    value, old, returns = (torch.randn(300, generator=g, dtype=torch.float64) for _ in range(3))
    value.requires_grad_()
    loss, sums = train_ppo.value_loss(value, old, returns, 123)
    loss.backward()
    total, above, below, d_value = 0.0, 0, 0, []
    for v, o, R in zip(value.tolist(), old.tolist(), returns.tolist(), strict=True):
        kept = o + 0.5 if v > o + 0.5 else o - 0.5 if v < o - 0.5 else v
        binds = (kept - R) ** 2 > (v - R) ** 2
        above, below = above + (binds and kept < v), below + (binds and kept > v)
        total += 0.5 * ((kept - R) ** 2 if binds else (v - R) ** 2)
        d_value.append(0.0 if binds else v - R)
    assert above > 10 and below > 10 and sums["value_clip_fraction"].item() == above + below
    assert loss.item() == pytest.approx(total / 123, rel=1e-12)
    torch.testing.assert_close(value.grad, torch.tensor(d_value, dtype=torch.float64) / 123)


def test_losses_of_any_split_add_up_to_the_loss_of_the_whole():
    tokens, coefficients = random_tokens(), dict(clip=0.2, kl_coef=0.001, entropy_coef=0.001)
    parts = list(zip(*(t.split([3, 150, 47]) for t in tokens)))
    whole, _ = train_ppo.ppo_loss(*tokens, 200, **coefficients)
    split = sum(train_ppo.ppo_loss(*part, 200, **coefficients)[0] for part in parts)
    assert split.item() == pytest.approx(whole.item(), rel=1e-12)
    whole, _ = train_ppo.value_loss(*tokens[:3], 200)
    split = sum(train_ppo.value_loss(*part[:3], 200)[0] for part in parts)
    assert split.item() == pytest.approx(whole.item(), rel=1e-12)


# ---------------------------------------------------------------- the critic


@pytest.mark.parametrize("family", FAMILIES)
def test_a_fresh_critic_says_0_and_has_the_policys_body_and_one_row_of_head(folders, family):
    critic, actor = train_ppo.load_critic(folders[family], CPU), dict(model.load(folders[family]).named_parameters())
    for name, p in critic.named_parameters():
        assert torch.equal(p, torch.zeros(1, 64) if name == "lm_head.weight" else actor[name])
    packed = policy.pack([torch.tensor([3, 4])], [torch.arange(9)], CPU)
    assert policy.token_values(critic, packed).tolist() == [0] * 9


def test_the_value_at_t_has_seen_the_token_before_t_and_not_t(folders):
    critic = train_ppo.load_critic(folders["qwen2-tied"], CPU)
    torch.nn.init.normal_(critic.lm_head.weight)
    prompt, response, t = torch.tensor([3, 4, 5]), torch.arange(20, 28), 4

    def value_at_t(prompt, response):
        return policy.token_values(critic, policy.pack([prompt], [response], CPU))[t].item()

    def changed(tokens, i):
        return tokens.index_fill(0, torch.tensor([i]), 99)

    value = value_at_t(prompt, response)
    for later in range(t, 8):                                          # the token that is about to be drawn, and on
        assert value_at_t(prompt, changed(response, later)) == value
    for earlier in range(t):
        assert abs(value_at_t(prompt, changed(response, earlier)) - value) > 1e-4
    assert abs(value_at_t(changed(prompt, 0), response) - value) > 1e-4


def test_the_critic_learns_a_known_target(folders, world):
    """Returns 1 behind prompt 0 and -1 behind prompt 1, whatever the response: after 30 updates the error is small."""
    critic = policy.shard(train_ppo.load_critic(folders["qwen2-tied"], CPU), world.mesh)
    optimizer = torch.optim.AdamW(critic.parameters(), lr=3e-3)
    g = torch.Generator().manual_seed(0)
    prompts = [torch.tensor([3, 4, 5]), torch.tensor([9, 8])] * 8
    packed = policy.pack(prompts, [torch.randint(300, (5,), generator=g) for _ in prompts], CPU)
    returns = torch.tensor([1.0] * 5 + [-1.0] * 5).repeat(8)                                  # [M]
    losses = []
    for _ in range(30):
        value = policy.token_values(critic, packed)
        loss, _ = train_ppo.value_loss(value, value.detach(), returns, len(returns))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[0] == 0.5 and losses[-1] < 0.02
    assert train_ppo.moments([returns - value.detach()], world)[1] < 0.05          # explained variance > 0.95


# ---------------------------------------------------------------- one step on a random model

STOP = 258      # <|im_end|>


@pytest.fixture
def step(folders, tokenizer, world, monkeypatch):
    """One rollout on a random model whose reward is "an even number of characters": settings, run, batch."""
    class Graded(list):
        timeouts = errors = 0
    monkeypatch.setattr(verify, "rewards", lambda texts, golds, **_: Graded([float(len(t) % 2 == 0) for t in texts]))
    config = train_ppo.Config(rows=2, group_size=4, max_new_tokens=12, temperature=0.6, max_grad_norm=1e9, kl_coef=0.01)
    actor = policy.shard(model.load(folders["qwen2-tied"]), world.mesh)
    reference = policy.shard(model.load(folders["qwen2-untied"]), world.mesh)       # another model: KL is not zero
    critic = train_ppo.load_critic(folders["qwen2-tied"], CPU)
    torch.nn.init.normal_(critic.lm_head.weight, std=0.1)
    policy.shard(critic, world.mesh)
    optimizers = [NoStep(part.parameters()) for part in (actor, critic)]
    run = train_ppo.Run(world, [data.Problem("1+1?", "2")], [data.encode(tokenizer, "1+1?")], {}, tokenizer, [STOP],
                        torch.float32, 8, actor, reference, optimizers[0], critic, optimizers[1])
    batch, _ = train_ppo.rollout(config, run, step=1)
    assert 0 < batch.rewards.sum() < 8
    return config, run, batch


class NoStep(torch.optim.SGD):
    """Leaves weights and gradients, for looking at them."""
    def step(self): pass
    def zero_grad(self): pass


def gradient_of(config, run, batch):
    """The gradients of one update over all parameters of actor and critic, its metrics, the number of micro-batches."""
    run.actor.zero_grad(), run.critic.zero_grad()
    (micro_batches,), metrics = train_ppo.score(config, run, batch)
    metrics |= train_ppo.update(config, run, micro_batches)
    actor, critic = (torch.cat([p.grad.to_local().flatten() for p in part.parameters()])
                     for part in (run.actor, run.critic))
    return actor, critic, metrics, len(micro_batches)


def test_the_split_into_micro_batches_changes_neither_gradients_nor_metrics(step):
    *whole, metrics, one = gradient_of(*step)
    *split, split_metrics, many = gradient_of(replace(step[0], micro_batch_tokens=13), *step[1:])
    assert one == 1 and many >= 4
    for got, expected in zip(split, whole, strict=True):                                     # actor, critic
        assert expected.abs().max() > 0
        torch.testing.assert_close(got, expected, atol=1e-5 * expected.abs().max().item(), rtol=1e-4)
    assert split_metrics == pytest.approx(metrics, rel=1e-4, abs=1e-6)


def returns_of(config, run, batch):
    """Each response's returns [T_i], in the batch's order (one micro-batch sorts by length), and the micro-batch."""
    ((scored,),), _ = train_ppo.score(config, run, batch)
    order = sorted(range(len(batch.responses)), key=lambda i: -len(batch.responses[i]))
    parts = scored.returns.split([len(batch.responses[i]) for i in order])
    return [parts[order.index(i)] for i in range(len(order))], scored


def test_the_kl_is_paid_in_the_reward_token_by_token(step):
    """gamma = lam = 1: returns[t] - returns[t + 1] is the reward of token t, -0.01 (log pi_old - log pi_ref); the last
    token's also has the response's reward."""
    config, run, batch = step
    returns, _ = returns_of(config, run, batch)
    for prompt, response, behaviour, reward, got in zip(batch.prompts, batch.responses, batch.behaviour, batch.rewards,
                                                        returns, strict=True):
        reference, _ = policy.token_logprobs(run.reference, policy.pack([prompt], [response], CPU), 0.6)
        expected = -0.01 * (behaviour - reference.detach())
        expected[-1] += reward
        torch.testing.assert_close(got - torch.cat((got[1:], torch.zeros(1))), expected, atol=1e-5, rtol=0)


def test_kl_in_loss_takes_it_out_of_the_reward_and_puts_it_into_the_gradient(step):
    config, run, batch = step
    returns, _ = returns_of(replace(config, kl_in_loss=True), run, batch)
    for got, reward in zip(returns, batch.rewards, strict=True):
        torch.testing.assert_close(got, reward.expand(len(got)), atol=1e-6, rtol=0)         # no token pays for anything
    actor = {}
    for kl_in_loss, kl_coef in ((True, 0.01), (True, 1.0), (False, 0.01)):
        actor[kl_in_loss, kl_coef], _, metrics, _ = gradient_of(replace(config, kl_in_loss=kl_in_loss, kl_coef=kl_coef),
                                                                run, batch)
        assert metrics["loss/kl"] > 0.01                    # measured in either case
        in_loss = metrics["loss/total"] - metrics["loss/policy"] + 0.001 * metrics["loss/entropy"]
        assert in_loss == pytest.approx(kl_coef * metrics["loss/kl"] if kl_in_loss else 0, abs=1e-5)
    assert (actor[True, 1.0] - actor[True, 0.01]).abs().max() > 1e-4


def test_advantages_are_whitened_over_the_batch_and_returns_are_not(step):
    config, run, batch = step
    returns, scored = returns_of(config, run, batch)
    assert scored.advantage.mean().item() == pytest.approx(0, abs=1e-5)
    assert scored.advantage.var().item() == pytest.approx(1, abs=1e-4)                      # torch's var has ddof=1
    raw = scored.returns - scored.value
    torch.testing.assert_close(scored.advantage, (raw - raw.mean()) / (raw.var() + 1e-8).sqrt(), atol=1e-5, rtol=1e-4)
    assert max(r.max() for r in returns) > 0.5


def test_metrics_of_the_critic(step):
    config, run, batch = step
    ((scored,),), metrics = train_ppo.score(config, run, batch)
    assert metrics["critic/value"] == pytest.approx(scored.value.mean().item(), abs=1e-6)
    explained = 1 - (scored.returns - scored.value).var() / scored.returns.var()
    assert metrics["critic/explained_variance"] == pytest.approx(explained.item(), abs=1e-4)
    batch.rewards.fill_(1.0)                                # nothing varies: nothing to explain
    assert train_ppo.score(replace(config, kl_in_loss=True), run, batch)[1]["critic/explained_variance"] == 0


def test_in_a_second_update_on_the_same_tokens_both_clips_act_and_change_the_gradients(step):
    config, run, batch = step
    (first, second), _ = train_ppo.score(replace(config, updates_per_rollout=2), run, batch)
    assert sum(len(m.advantage) for m in first + second) == sum(map(len, batch.responses))
    run.optimizer = torch.optim.SGD(run.actor.parameters(), lr=0.5)
    run.critic_optimizer = torch.optim.SGD(run.critic.parameters(), lr=0.5)
    for m in first + second:                              # one sign and size, so that it surely moves
        m.advantage.fill_(1.0)
        m.returns = m.value + 5
    before = train_ppo.update(config, run, first)
    run.optimizer, run.critic_optimizer = NoStep(run.actor.parameters()), NoStep(run.critic.parameters())
    again = train_ppo.update(config, run, first)          # old log-probs and values stand still
    run.actor.zero_grad(), run.critic.zero_grad()
    free = train_ppo.update(replace(config, clip=1e9), run, first)
    for clip in ("loss/clip_fraction", "loss/value_clip_fraction"):
        assert before[clip] == 0 and again[clip] > 0
    assert before["loss/approx_kl"] == pytest.approx(0, abs=1e-6) and again["loss/approx_kl"] > 1e-3
    assert again["train/logprob_gap_max"] < 1e-4
    assert free["loss/clip_fraction"] == 0 and free["optim/grad_norm"] > 1.1 * again["optim/grad_norm"]


def test_a_gradient_that_is_not_finite_ends_the_run_with_one_line_before_the_weights_move(step):
    config, run, batch = step
    micro_batches = train_ppo.score(config, run, batch)[0][0]
    micro_batches[0].advantage[0] = float("nan")
    run.optimizer = torch.optim.SGD(run.actor.parameters(), lr=1.0)
    before = [p.to_local().clone() for p in run.actor.parameters()]
    with pytest.raises(SystemExit, match="the gradient norms are .nan, .* use .*--lr.*, and --resume if runs/NAME has a checkpoint") as end:
        train_ppo.update(config, run, micro_batches)
    assert "\n" not in str(end.value)
    assert all(torch.equal(p.to_local(), old) for p, old in zip(run.actor.parameters(), before, strict=True))


# ---------------------------------------------------------------- settings


def test_what_both_trainers_can_set_has_equal_values_in_every_recipe():
    assert train_ppo.RECIPES.keys() == train_grpo.RECIPES.keys() and train_ppo.RECIPES["tiny"] == train_ppo.Config()
    shared = {f.name for f in fields(train_ppo.Config)} & {f.name for f in fields(train_grpo.Config)}
    for name, ppo in train_ppo.RECIPES.items():
        assert {s: getattr(ppo, s) for s in shared} == {s: getattr(train_grpo.RECIPES[name], s) for s in shared}
    only = lambda a, b: {f.name for f in fields(a.Config)} - {f.name for f in fields(b.Config)}
    assert only(train_ppo, train_grpo) == {"gamma", "lam", "kl_in_loss", "critic_lr"}
    assert only(train_grpo, train_ppo) == {"policy_coef", "weight_decay", "label", "reward"}
    assert len(fields(train_ppo.Config)) <= 30                                   # one screen
    paper = train_ppo.RECIPES["qwen2.5-math-1.5b"]
    assert (paper.gamma, paper.lam, paper.critic_lr, paper.kl_coef, paper.kl_in_loss) == (1, 1, 1e-5, 0.001, False)


@pytest.mark.parametrize("arguments, message", [
    (["qwen3-600b"], "unknown recipe 'qwen3-600b'; there are tiny, qwen2.5-math-1.5b"),
    (["--gamma", "1.1"], "--gamma and --lam must be in [0, 1], got 1.1 and 0.9"),
    (["--lam", "-0.1"], "--gamma and --lam must be in [0, 1], got 1.0 and -0.1"),
    (["--gamma", "nan"], "--gamma and --lam must be in [0, 1], got nan and 0.9"),
    (["--rows", "9", "--updates-per-rollout", "2"], "--rows 9 does not divide"),
    (["--updates-per-rollout", "0"], "must be at least 1"),
    (["--group-size", "0"], "must be at least 1"),
    (["--temperature", "0"], "--temperature must be positive"),
    (["--dtype", "float16"], "--dtype must be float32 or bfloat16"),
    (["--model", "no/such/folder"], "no such folder"),
    (["--example", "pi0"], "unknown example or problem set 'pi0'"),
    (["--stop-tokens", "<|stop|>"], "the tokenizer has no token '<|stop|>'"),
    (["--resume", "runs/none"], "--resume wants the folder of a run")])
def test_bad_settings_are_one_line_and_nothing_is_written(base, tmp_path, monkeypatch, world, arguments, message):
    complain(base, tmp_path, monkeypatch, world, arguments, message)


def test_a_critic_that_does_not_fit_the_tokenizer_is_refused(base, tmp_path, monkeypatch, world, tokenizer):
    config = FAMILIES["qwen2-tied"][0]
    small = model.Decoder(type(config)(**config.to_dict() | {"vocab_size": 257}))
    model.save(small, tmp_path / "small", tokenizer)
    complain(base, tmp_path, monkeypatch, world, ["--model", str(tmp_path / "small"), "--template", "plain"],
             "the tokenizer has 259 tokens, the critic knows 257")


def complain(base, tmp_path, monkeypatch, world, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(policy, "start", lambda: world)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    good = [] if "--resume" in arguments or arguments[0][0] != "-" else list(map(str, options(base)))
    with pytest.raises(SystemExit) as stop:
        train_ppo.train(*record.parse(train_ppo.Config, train_ppo.RECIPES, good + arguments))
    assert message in str(stop.value) and "\n" not in str(stop.value)
    assert not (tmp_path / "runs").exists()


# ---------------------------------------------------------------- whole runs


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A folder with two problems; the model is the laptop's base, which is right on the example now and then."""
    folder = tmp_path_factory.mktemp("base")
    problems = [dict(problem="What is 31 + 52?", answer="83"), dict(problem="What is 6 + 7?", answer="13")]
    (folder / "two.jsonl").write_text("".join(json.dumps(problem) + "\n" for problem in problems))
    return folder


def options(base, *others, **changed):
    settings = dict(model=ROOT / "tiny-base", heldout=base / "two.jsonl", validation=base / "two.jsonl", rows=4,
                    group_size=4, max_new_tokens=60, steps=3, eval_every=2, micro_batch_tokens=350, lam=0.9,
                    updates_per_rollout=2, kl_coef=0.1) | changed
    pairs = ((f"--{name.replace('_', '-')}", str(value)) for name, value in settings.items())
    return [*others, *(part for pair in pairs for part in pair)]


def train_here(world, place, *arguments):
    """A whole run in this process and its process group."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr(policy, "start", lambda: world)
        patch.setattr(train_ppo.dist, "destroy_process_group", lambda: None)
        train_ppo.train(*record.parse(train_ppo.Config, train_ppo.RECIPES, list(arguments)))


def numbers(folder):
    """What a run computed, step by step, without what it took."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if not name.startswith("time/")} for line in lines]


def histories(folder):
    return [json.loads(line) for line in (folder / "histories.jsonl").read_text().splitlines()]


SEVERAL = "--example", "tiny-add", "tiny-no-carry"


@pytest.fixture(scope="module")
def finished_run(base, world, tmp_path_factory):
    place = tmp_path_factory.mktemp("run")
    train_here(world, place, *options(base, *SEVERAL, name="one"))
    return place / "runs" / "one"


def test_a_run_leaves_the_metrics_of_both_networks_and_a_checkpoint_of_the_actor(finished_run, base):
    saved = json.loads((finished_run / "config.json").read_text())
    assert set(saved["config"]) == {f.name for f in fields(train_ppo.Config)}
    lines = numbers(finished_run)
    assert [line["step"] for line in lines] == [0, 1, 2, 3]
    assert {"critic/value", "critic/explained_variance", "loss/value", "loss/value_clip_fraction", "loss/clip_fraction",
            "loss/approx_kl", "loss/kl", "loss/policy", "optim/critic_grad_norm", "train/logprob_gap"} <= set(lines[1])
    assert lines[1]["critic/value"] == 0 < abs(lines[2]["critic/value"])        # the head starts at zero, and learns
    assert all(0 < line["train/accuracy"] < 1 and line["loss/approx_kl"] > 0 for line in lines[1:])    # two updates
    actor = model.load(finished_run / "checkpoints" / "step_3")
    assert dict(actor.named_parameters()).keys() == dict(model.load(ROOT / "tiny-base").named_parameters()).keys()
    assert (finished_run / "curves.png").exists()


def test_two_processes_reproduce_one_to_rounding(finished_run, base, tmp_path):
    done = run_script("train_ppo.py", *options(base, *SEVERAL, name="two"), processes=2, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    for one, two in zip(numbers(finished_run), numbers(tmp_path / "runs" / "two"), strict=True):
        assert two == pytest.approx(one, rel=2e-3, abs=1e-5)
    assert histories(tmp_path / "runs" / "two") == histories(finished_run)


def test_a_resumed_run_equals_one_that_was_never_stopped(finished_run, base, world, tmp_path):
    train_here(world, tmp_path, *options(base, *SEVERAL, name="cut", steps=2))
    train_here(world, tmp_path, "--resume", "runs/cut", "--steps", "3")          # actor, critic, both optimizers
    assert numbers(tmp_path / "runs" / "cut") == numbers(finished_run)
    assert histories(tmp_path / "runs" / "cut") == histories(finished_run)
    assert [line["step"] for line in histories(finished_run)] == [1, 2, 3]
    assert all(len(line["accuracy"]["tiny-add"]) == 2 for line in histories(finished_run))     # 4 rows, 2 examples


@pytest.mark.parametrize("family", ["llama-linear", "qwen3-tied"])
def test_the_papers_recipe_runs_in_bf16_with_two_updates(folders, base, tokenizer, world, tmp_path, family):
    model.save(model.load(folders[family]), tmp_path / "base", tokenizer)
    changed = dict(name="paper", model=tmp_path / "base", example=base / "two.jsonl", template="plain", steps=1,
                   max_new_tokens=16, stop_tokens="<|im_end|>", group_size=1)
    train_here(world, tmp_path, "qwen2.5-math-1.5b", *options(base, **changed))
    (_, line) = numbers(tmp_path / "runs" / "paper")
    saved = json.loads((tmp_path / "runs" / "paper" / "config.json").read_text())["config"]
    assert (saved["dtype"], saved["recompute"], saved["temperature"], saved["lr"]) == ("bfloat16", True, 0.6, 1e-6)
    assert line["loss/approx_kl"] > 0 and line["optim/critic_grad_norm"] > 0     # the second update's ratio is not 1
    assert all(math.isfinite(value) for value in line.values())
