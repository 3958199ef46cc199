"""train_grpo.py: the equations against hand numbers and float64, and the ten contracts on real (tiny) runs."""

import json
import math
from dataclasses import fields, replace

import pytest
import torch
from conftest import ROOT, oracle, run_script

import data
import kernels
import model
import policy
import record
import train_grpo
import verify

QWEN = ROOT.parent / "shared" / "data" / "qwen2.5_tokenizer"      # real input, where it is there
COEFFICIENTS = dict(policy_coef=1.0, clip=0.2, kl_coef=0.001, entropy_coef=0.001)

# ---------------------------------------------------------------- equation (1)


@pytest.mark.parametrize("right, advantage_right, advantage_wrong", [
    (1, 2.474867, -0.353552), (2, 1.620182, -0.540061), (3, 1.207612, -0.724567), (4, 0.935413, -0.935413),
    (5, 0.724567, -1.207612), (6, 0.540061, -1.620182), (7, 0.353552, -2.474867)])
def test_advantages_of_a_group_of_8_with_k_right(right, advantage_right, advantage_wrong):
    """Three of eight right: mean 3/8, sum of squares 3 (5/8)^2 + 5 (3/8)^2 = 15/8, std = sqrt(15/56) = 0.517549."""
    got = train_grpo.group_advantages(torch.tensor([1.0] * right + [0.0] * (8 - right)), 8)
    expected = torch.tensor([advantage_right] * right + [advantage_wrong] * (8 - right))
    torch.testing.assert_close(got, expected, atol=2e-6, rtol=0)


def test_groups_are_by_index_so_equal_problems_are_not_pooled():
    rewards = torch.tensor([1.0, 0.0, 1.0, 1.0])          # two groups of 2: the second has no variance
    got = train_grpo.group_advantages(rewards, 2)
    s = math.sqrt(0.5)                                     # ddof = 1: (0.5^2 + 0.5^2) / 1
    torch.testing.assert_close(got, torch.tensor([0.5 / (s + 1e-6), -0.5 / (s + 1e-6), 0.0, 0.0]))
    assert rewards.tolist() == [1, 0, 1, 1]                # and rewards stay rewards (contract 5)


@pytest.mark.parametrize("group_size", [1, 3])
def test_a_group_size_that_cannot_be_is_an_error(group_size):
    with pytest.raises(ValueError, match="group_size must be at least 2 and divide"):
        train_grpo.group_advantages(torch.ones(8), group_size)


# ---------------------------------------------------------------- equations (2) to (5)


def random_tokens(M=200, spread=0.5):
    """logprob, old, reference, entropy, advantage [M] in float64, with ratios on both sides of the clip."""
    g = torch.Generator().manual_seed(0)
    logprob = -torch.rand(M, generator=g, dtype=torch.float64) * 3
    old, reference = (logprob + spread * torch.randn(M, generator=g, dtype=torch.float64) for _ in range(2))
    entropy = torch.rand(M, generator=g, dtype=torch.float64)
    return logprob, old, reference, entropy, torch.randn(M, generator=g, dtype=torch.float64)


def test_loss_and_gradient_equal_an_independent_float64_loop_with_the_clip_active():
    logprob, old, reference, entropy, advantage = random_tokens()
    logprob.requires_grad_(), entropy.requires_grad_()
    c = dict(policy_coef=0.7, clip=0.2, kl_coef=0.05, entropy_coef=0.03)
    loss, sums = train_grpo.grpo_loss(logprob, old, reference, entropy, advantage, 321, **c)
    loss.backward()
    total, clipped, d_logprob = 0.0, 0, []
    for x, o, f, h, a in zip(*(t.tolist() for t in (logprob, old, reference, entropy, advantage)), strict=True):
        ratio = math.exp(x - o)
        low, high = -a * ratio, -a * min(max(ratio, 0.8), 1.2)
        acting = low < high                                # the clip binds: no gradient from the policy term
        clipped += acting
        total += 0.7 * max(low, high) + 0.05 * (math.exp(f - x) - (f - x) - 1) - 0.03 * h
        d_logprob.append((0.0 if acting else -0.7 * a * ratio) + 0.05 * (1 - math.exp(f - x)))
    assert 10 < clipped < 190
    assert loss.item() == pytest.approx(total / 321, rel=1e-12)
    assert sums["clip_fraction"].item() == clipped
    torch.testing.assert_close(logprob.grad, torch.tensor(d_logprob, dtype=torch.float64) / 321)
    torch.testing.assert_close(entropy.grad, torch.full((200,), -0.03 / 321, dtype=torch.float64))


def test_k3_is_clamped_at_10():
    one = lambda x: torch.tensor([x], dtype=torch.float64)
    _, sums = train_grpo.grpo_loss(one(-9.0), one(-9.0), one(-1.0), one(0.0), one(0.0), 1, **COEFFICIENTS)
    assert math.exp(8) - 8 - 1 > 10 and sums["kl"].item() == 10


def test_losses_of_any_split_add_up_to_the_loss_of_the_whole():
    tokens = random_tokens()
    whole, _ = train_grpo.grpo_loss(*tokens, 200, **COEFFICIENTS)
    parts = [train_grpo.grpo_loss(*part, 200, **COEFFICIENTS)[0] for part in zip(*(t.split([3, 150, 47]) for t in tokens))]
    assert sum(parts).item() == pytest.approx(whole.item(), rel=1e-12)


def test_a_group_without_variance_still_feels_entropy_and_kl():
    logprob, old, reference, entropy, _ = random_tokens()
    logprob.requires_grad_(), entropy.requires_grad_()
    loss, _ = train_grpo.grpo_loss(logprob, logprob.detach(), reference, entropy, torch.zeros(200), 200, **COEFFICIENTS)
    loss.backward()
    assert entropy.grad.abs().min() > 0 and logprob.grad.abs().sum() > 0


def test_without_a_reference_the_kl_term_is_zero():
    logprob, old, _, entropy, advantage = random_tokens()
    _, sums = train_grpo.grpo_loss(logprob, old, None, entropy, advantage, 200, **COEFFICIENTS)
    assert sums["kl"].item() == 0


# ---------------------------------------------------------------- rows


def test_examples_are_repeated_evenly_to_the_batch_in_an_order_that_the_seed_fixes():
    rows = [train_grpo.problem_of_row(row, 3, seed=0) for row in range(30)]
    assert all(sorted(rows[i:i + 3]) == [0, 1, 2] for i in range(0, 30, 3))
    assert len({tuple(rows[i:i + 3]) for i in range(0, 30, 3)}) > 1       # epochs differ
    assert rows == [train_grpo.problem_of_row(row, 3, seed=0) for row in range(30)]
    assert [train_grpo.problem_of_row(row, 1, seed=0) for row in range(5)] == [0] * 5


# ---------------------------------------------------------------- one step on a random model


@pytest.fixture
def step(folders, tokenizer, world, monkeypatch):
    """One rollout on a random model whose reward is "an even number of characters": settings, run, batch."""
    class Graded(list):
        timeouts, errors = 3, 2
    monkeypatch.setattr(verify, "rewards", lambda texts, golds, **_: Graded([float(len(t) % 2 == 0) for t in texts]))
    config = train_grpo.Config(rows=2, group_size=4, max_new_tokens=12, temperature=0.6, max_grad_norm=1e9)
    run = make_run(folders, tokenizer, world, "1+1?", data.Problem("1+1?", "2"))
    batch, run.metrics = train_grpo.rollout(config, run, step=1)
    return config, run, batch


def make_run(folders, tokenizer, world, prompt, problem):
    actor = policy.shard(model.load(folders["qwen2-tied"]), world.mesh)
    reference = policy.shard(model.load(folders["qwen2-untied"]), world.mesh)       # another model: KL is not zero
    return train_grpo.Run(world, [problem], [data.encode(tokenizer, prompt)], {}, tokenizer, [STOP], torch.float32, 8,
                          actor, reference, NoStep(actor.parameters()))


class NoStep(torch.optim.SGD):
    """Leaves weights and gradients, for looking at them."""
    def step(self): pass
    def zero_grad(self): pass


STOP = 258      # <|im_end|>


def gradient_of(config, run, batch):
    """The gradient of one update over all parameters, its metrics, and the number of micro-batches."""
    run.actor.zero_grad()
    (micro_batches,) = train_grpo.score(config, run, batch)
    metrics = train_grpo.update(config, run, micro_batches)
    return torch.cat([p.grad.to_local().flatten() for p in run.actor.parameters()]), metrics, len(micro_batches)


def test_a_step_counts_rewards_lengths_flat_groups_and_what_the_verifier_gave_up_on(step):
    config, run, batch = step
    m, rewards = run.metrics, batch.rewards.tolist()
    flat = [len(set(rewards[i:i + 4])) == 1 for i in (0, 4)]
    assert m["train/accuracy"] == sum(rewards) / 8 and m["train/length"] == sum(map(len, batch.responses)) / 8
    assert m["train/groups_without_variance"] == sum(flat) / 2
    assert (m["verify/timeouts"], m["verify/errors"]) == (3, 2)                        # counted, not swallowed


def test_the_split_into_micro_batches_changes_neither_gradient_nor_metrics(step):
    config, run, batch = step
    whole, metrics, one = gradient_of(config, run, batch)
    split, split_metrics, many = gradient_of(replace(config, micro_batch_tokens=13), run, batch)
    assert one == 1 and many >= 4
    torch.testing.assert_close(split, whole, atol=1e-5 * whole.abs().max().item(), rtol=1e-4)
    assert split_metrics == pytest.approx(metrics, rel=1e-4, abs=1e-6)


def test_what_is_sampled_is_what_is_scored_at_temperature_06(step):
    config, run, batch = step
    _, metrics, _ = gradient_of(config, run, batch)
    assert metrics["train/logprob_gap_max"] < 1e-4
    _, other, _ = gradient_of(replace(config, temperature=1.0), run, batch)
    assert other["train/logprob_gap"] > 0.05           # scored at another temperature it would show


def test_the_gradient_of_a_step_is_that_of_the_loss_written_down_with_transformers(step, folders):
    config, run, batch = step
    ours, metrics, _ = gradient_of(config, run, batch)
    theirs, base, loss = oracle(folders["qwen2-tied"]), oracle(folders["qwen2-untied"]), 0
    count = sum(map(len, batch.responses))
    for prompt, response, advantage in zip(batch.prompts, batch.responses, batch.advantages, strict=True):
        logp, logp_ref = (m(torch.cat((prompt, response))[None]).logits[0, len(prompt) - 1:-1].div(0.6).log_softmax(-1)
                          for m in (theirs, base))
        taken, taken_ref = (x[range(len(response)), response] for x in (logp, logp_ref.detach()))   # stop token included
        pg = -advantage * (taken - taken.detach()).exp()
        kl = ((taken_ref - taken).exp() - (taken_ref - taken) - 1).clamp(-10, 10)
        entropy = -(logp.exp() * logp).sum(-1)
        loss = loss + (pg + 0.001 * kl - 0.001 * entropy).sum() / count
    loss.backward()
    gradients = {name: p.grad for name, p in theirs.named_parameters()}
    expected = torch.cat([gradients[name].flatten() for name, _ in run.actor.named_parameters()])
    assert batch.advantages.abs().sum() > 0
    torch.testing.assert_close(ours, expected, atol=1e-5 * expected.abs().max().item(), rtol=1e-3)
    assert metrics["loss/total"] == pytest.approx(loss.item(), abs=1e-6)


def test_the_stop_token_is_trained_on(step):
    config, run, batch = step
    stopped = [r for r, finished in zip(batch.responses, batch.finished, strict=True) if finished]
    batch.responses[0] = torch.cat((batch.responses[0][:3], torch.tensor([STOP])))        # at least one that stopped
    batch.behaviour[0] = batch.behaviour[0][:4]
    ((scored,),) = train_grpo.score(config, run, batch)
    assert all(response[-1] == STOP for response in stopped)
    assert (scored.packed.targets == STOP).sum() == sum(STOP in response for response in batch.responses) >= 1
    assert len(scored.advantage) == len(scored.packed.targets) == sum(map(len, batch.responses))


def test_with_several_updates_the_old_logprobs_stand_still_and_ratio_and_clip_act(step):
    config, run, batch = step
    first, second = train_grpo.score(replace(config, updates_per_rollout=2), run, batch)
    assert sum(len(m.advantage) for m in first + second) == sum(map(len, batch.responses))
    run.optimizer = torch.optim.SGD(run.actor.parameters(), lr=0.5)
    for m in first + second:                              # advantages of one sign and size, so that it surely moves
        m.advantage.fill_(1.0)
    before, again = (train_grpo.update(config, run, first) for _ in range(2))
    assert before["loss/clip_fraction"] == 0 and again["loss/clip_fraction"] > 0
    assert again["train/logprob_gap_max"] < 1e-4          # measured on the old log-probs, which stay


def test_a_gradient_that_is_not_finite_ends_the_run_with_one_line_before_the_weights_move(step):
    config, run, batch = step
    micro_batches = train_grpo.score(config, run, batch)[0]
    micro_batches[0].advantage[0] = float("nan")
    run.optimizer = torch.optim.SGD(run.actor.parameters(), lr=1.0)
    before = [p.to_local().clone() for p in run.actor.parameters()]
    with pytest.raises(SystemExit, match="the gradient's norm is nan;.* use .*--lr.*, and --resume if runs/NAME has a checkpoint") as end:
        train_grpo.update(config, run, micro_batches)
    assert "\n" not in str(end.value)
    assert all(torch.equal(p.to_local(), old) for p, old in zip(run.actor.parameters(), before, strict=True))


@pytest.mark.parametrize("reward, expected", [("outcome", [1, 0, 0, 0, 0, 0]), ("format", [1, 1, 0, 0, 0, 0])])
def test_the_format_reward_pays_any_boxed_answer_and_the_outcome_reward_the_right_one(
        folders, tokenizer, world, monkeypatch, reward, expected):
    texts = ["so \\boxed{2}.", "so \\boxed{\\text{no idea}}", "so \\boxed{2", "\\boxed{}", "The answer is 2.", ""]
    monkeypatch.setattr(tokenizer, "batch_decode", lambda *_, **__: texts)
    run = make_run(folders, tokenizer, world, "1+1?", data.Problem("1+1?", "2"))
    batch, metrics = train_grpo.rollout(train_grpo.Config(rows=1, group_size=6, max_new_tokens=2, reward=reward), run, 1)
    assert batch.rewards.tolist() == expected and metrics["train/accuracy"] == pytest.approx(sum(expected) / 6)


def test_only_the_response_is_graded_though_the_prompt_has_a_box(folders, tokenizer, world):
    config = train_grpo.Config(rows=1, group_size=2, max_new_tokens=2)
    run = make_run(folders, tokenizer, world, "Say \\boxed{2}.", data.Problem("", "2"))
    batch, metrics = train_grpo.rollout(config, run, step=1)
    assert batch.rewards.tolist() == [0, 0] and metrics["train/boxed"] == 0


# ---------------------------------------------------------------- whole runs


@pytest.fixture(scope="module")
def problems(tmp_path_factory):
    """A file of one problem, to be evaluated quickly."""
    file = tmp_path_factory.mktemp("problems") / "one.jsonl"
    file.write_text(json.dumps(dict(problem="Ann has 24 pens and gets 13 more. How many pens in all?", answer="37")))
    return file


def options(problems, **changed):
    """The laptop recipe made short: two examples, two large updates in each of its two steps."""
    settings = dict(model=ROOT / "tiny-base", rows=4, updates_per_rollout=2, lr=3e-4, steps=2, eval_every=1,
                    heldout=problems, validation=problems, micro_batch_tokens=400) | changed
    several = ["--example", "tiny-add", "tiny-multiply-add"]
    return several + [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", value)]


def metrics_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def histories_of(folder):
    return [json.loads(line) for line in (folder / "histories.jsonl").read_text().splitlines()]


def numbers(lines):
    """What a run computed, without what it took."""
    return [{name: value for name, value in line.items() if not name.startswith("time/")} for line in lines]


@pytest.fixture(scope="module")
def finished_run(problems, tmp_path_factory):
    place = tmp_path_factory.mktemp("run")
    done = run_script("train_grpo.py", *options(problems, name="one"), cwd=place)
    assert done.returncode == 0, done.stderr[-3000:]
    return place / "runs" / "one", done


def test_a_run_leaves_config_metrics_rollouts_checkpoints_and_a_picture(finished_run):
    folder, done = finished_run
    saved = json.loads((folder / "config.json").read_text())
    assert set(saved["config"]) == {f.name for f in fields(train_grpo.Config)} and saved["about"]["torch"]
    lines = metrics_of(folder)
    assert [line["step"] for line in lines] == [0, 1, 2]
    assert {"train/accuracy", "train/boxed", "loss/policy", "loss/kl", "loss/entropy", "time/sample", "time/update",
            "verify/timeouts", "train/logprob_gap", "train/groups_without_variance"} <= set(lines[1])
    assert all(any(name.startswith("eval/") for name in line) for line in lines)
    assert all(0 < line["train/accuracy"] < 1 for line in lines[1:])                      # the policy term acts
    assert any(line["loss/clip_fraction"] > 0 for line in lines[1:])                      # and its clip
    assert lines[1]["train/logprob_gap_max"] < 1e-4
    assert len((folder / "rollouts.jsonl").read_text().splitlines()) == 2 * 8
    assert sorted(p.name for p in (folder / "checkpoints").iterdir()) == ["step_1", "step_2"]
    assert (folder / "curves.png").read_bytes()[1:4] == b"PNG"
    assert "32 samples -> 2 update(s)" in done.stdout and "--- gold: 96" in done.stdout
    assert "57" in done.stdout and "base on the example: reward 0." in done.stdout + done.stderr


def test_a_run_on_several_examples_leaves_the_accuracy_of_each_in_every_epoch(finished_run):
    """4 rows a step hold 2 examples twice: 2 epochs, 8 responses each."""
    folder, _ = finished_run
    lines = histories_of(folder)
    assert [line["step"] for line in lines] == [1, 2]
    for line, metrics in zip(lines, metrics_of(folder)[1:], strict=True):
        lengths = {name: len(entries) for name, entries in line["accuracy"].items()}
        assert lengths == {"tiny-add": 2, "tiny-multiply-add": 2}
        entries = sum(line["accuracy"].values(), [])
        assert all((8 * entry).is_integer() for entry in entries)
        assert sum(entries) / 4 == metrics["train/accuracy"]
    # Step 1's first row is the first group of rollouts.jsonl
    first = [json.loads(line) for line in (folder / "rollouts.jsonl").read_text().splitlines()][:8]
    example = ["tiny-add", "tiny-multiply-add"][train_grpo.problem_of_row(0, 2, seed=0)]
    assert lines[0]["accuracy"][example][0] == sum(row["reward"] for row in first) / 8


def test_the_checkpoint_of_a_run_loads_in_transformers_with_the_same_logits(finished_run):
    same_logits(finished_run[0] / "checkpoints" / "step_2")


def same_logits(folder):
    """Our forward and transformers' agree on a folder, both in fp32."""
    tokens = torch.randint(259, (30,))
    attend = kernels.PackedAttention([(0, 30, 0, 0)], torch.device("cpu"))
    ours = model.load(folder)(tokens, torch.arange(30), attend, model.logits)
    torch.testing.assert_close(ours, oracle(folder)(tokens[None]).logits[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", ["qwen2-tied", "qwen3-tied", "llama-rope3"])
def test_the_papers_recipe_runs_on_every_family_and_its_checkpoint_loads_in_transformers(folders, tokenizer, tmp_path,
                                                                                         family):
    model.save(model.load(folders[family]), tmp_path / "base", tokenizer)
    changed = dict(model=tmp_path / "base", example="pi1", max_new_tokens=6, rows=4, steps=2, eval_every=2,
                   stop_tokens="<|im_end|>", name="paper")
    # pi1's prompt is 500 bytes, and so tokens here: more than the small models' 256 positions
    config = json.loads((tmp_path / "base" / "config.json").read_text()) | {"max_position_embeddings": 1024}
    (tmp_path / "base" / "config.json").write_text(json.dumps(config))
    arguments = [part for name, value in changed.items() for part in (f"--{name.replace('_', '-')}", value)]
    done = run_script("train_grpo.py", "qwen2.5-math-1.5b", *arguments, processes=2, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    saved = json.loads((tmp_path / "runs" / "paper" / "config.json").read_text())["config"]
    assert "every group has equal rewards" in done.stderr + done.stdout       # the random base is never right
    assert (saved["temperature"], saved["lr"], saved["group_size"], saved["dtype"]) == (0.6, 1e-6, 8, "bfloat16")
    folder = tmp_path / "runs" / "paper" / "checkpoints" / "step_2"
    same_logits(folder)
    weights = model.load(folder).state_dict()                                         # bf16, as config.json says
    assert all(torch.equal(w, w.bfloat16().float()) for w in weights.values())
    assert not (tmp_path / "runs" / "paper" / "histories.jsonl").exists()             # one example: nothing to rank


@pytest.mark.skipif(not QWEN.exists(), reason="needs the Qwen2.5 tokenizer beside the repository")
def test_the_papers_recipe_runs_on_the_real_qwen_tokenizer_and_its_152k_vocabulary(tmp_path):
    from transformers import Qwen2Config, Qwen2Tokenizer
    tokenizer = Qwen2Tokenizer(vocab=str(QWEN / "vocab.json"), merges=str(QWEN / "merges.txt"))
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]})
    decoder = model.Decoder(Qwen2Config(vocab_size=151_936, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
                                        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=4096,
                                        tie_word_embeddings=True))
    model.save(decoder, tmp_path / "base", tokenizer)
    done = run_script("train_grpo.py", "qwen2.5-math-1.5b", "--model", "base", "--example", "pi1", "pi13", "--rows", 2,
                      "--max-new-tokens", 6, "--steps", 2, "--name", "real", processes=2, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert ("<|im_start|>system\nPlease reason step by step, and put your final answer within \\boxed{}.<|im_end|>\n"
            "<|im_start|>user\nThe pressure \\( P \\) exerted by wind") in done.stdout
    same_logits(tmp_path / "runs" / "real" / "checkpoints" / "step_2")


def test_two_processes_reproduce_one_to_rounding(finished_run, problems, tmp_path):
    done = run_script("train_grpo.py", *options(problems, name="two"), processes=2, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    for one, two in zip(numbers(metrics_of(finished_run[0])), numbers(metrics_of(tmp_path / "runs/two")), strict=True):
        assert two == pytest.approx(one, rel=2e-3, abs=1e-5)
    assert histories_of(tmp_path / "runs/two") == histories_of(finished_run[0])


def test_a_resumed_run_equals_one_that_was_never_stopped(finished_run, problems, tmp_path):
    assert run_script("train_grpo.py", *options(problems, name="cut", steps=1), cwd=tmp_path).returncode == 0
    done = run_script("train_grpo.py", "--resume", "runs/cut", "--steps", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert numbers(metrics_of(tmp_path / "runs" / "cut")) == numbers(metrics_of(finished_run[0]))
    assert histories_of(tmp_path / "runs" / "cut") == histories_of(finished_run[0])
    done = run_script("train_grpo.py", "--resume", "runs/cut", cwd=tmp_path)              # its steps are now 2, all done
    assert done.stderr.strip() == "train_grpo.py: runs/cut has done its 2 steps; give more --steps to go on"


@pytest.mark.parametrize("arguments, message", [
    (["qwen3-600b"], "unknown recipe 'qwen3-600b'; there are tiny, qwen2.5-math-1.5b"),
    (["--group-size", "1"], "--group-size must be at least 2"),
    (["--reward", "length"], "--reward must be outcome or format, got 'length'"),
    (["--example", "pi1", "pi13", "--label", "4"], "--label is the answer of one example, and --example names several"),
    (["--rows", "9", "--updates-per-rollout", "2"], "--rows 9 does not divide"),
    (["--temperature", "0"], "--temperature must be positive"),
    (["--dtype", "float16"], "--dtype must be float32 or bfloat16"),
    (["--steps", "0"], "--steps must be at least 1"),
    (["--updates-per-rollout", "0"], "--updates-per-rollout must be at least 1"),
    (["--max-new-tokens", "100000"], "do not fit into the model's 512 positions"),
    (["--heldout", "tiny-heldout@hot"], "unknown example or problem set 'tiny-heldout@hot'"),
    (["--model", "no/such/folder"], "no such folder"),
    (["--example", "pi0"], "unknown example or problem set 'pi0'"),
    (["--example", "none.jsonl"], "none.jsonl: no such file"),
    (["--stop-tokens", "<|stop|>"], "the tokenizer has no token '<|stop|>'"),
    (["--template", "alpaca"], "unknown template 'alpaca'"),
    (["--resume", "runs/none"], "--resume wants the folder of a run")])
def test_bad_settings_are_one_line_and_nothing_is_written(problems, world, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(policy, "start", lambda: world)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    good = [] if "--resume" in arguments or arguments[0][0] != "-" else list(map(str, options(problems)))
    with pytest.raises(SystemExit) as stop:
        train_grpo.train(*record.parse(train_grpo.Config, train_grpo.RECIPES, good + arguments))
    assert message in str(stop.value) and "\n" not in str(stop.value)
    assert not (tmp_path / "runs").exists()


QWEN_STOPS, LLAMA_STOPS, R1_STOPS = ("<|im_end|>", "<|endoftext|>"), ("<|eot_id|>", "<|end_of_text|>"), (
    "<｜end▁of▁sentence｜>",)


@pytest.mark.parametrize("recipe, hub_id, steps, max_new_tokens, template, stops", [
    ("qwen2.5-math-1.5b", "Qwen/Qwen2.5-Math-1.5B", 2000, 3072, "qwen2.5-math", QWEN_STOPS),
    ("qwen2.5-math-7b", "Qwen/Qwen2.5-Math-7B", 1000, 3072, "qwen2.5-math", QWEN_STOPS),
    ("llama-3.2-3b-instruct", "meta-llama/Llama-3.2-3B-Instruct", 1000, 3072, "chat", LLAMA_STOPS),
    ("deepseek-r1-distill-qwen-1.5b", "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", 1200, 8192, "chat", R1_STOPS)])
def test_recipes_have_the_papers_settings(recipe, hub_id, steps, max_new_tokens, template, stops):
    config = train_grpo.RECIPES[recipe]
    assert (config.model, config.steps, config.max_new_tokens) == (hub_id, steps, max_new_tokens)
    assert (config.template, config.stop_tokens) == (template, stops)
    assert (config.example, config.label, config.reward) == (("pi1",), "", "outcome")
    assert (config.rows, config.group_size, config.updates_per_rollout, config.temperature) == (128, 8, 1, 0.6)
    assert (config.lr, config.weight_decay, config.max_grad_norm, config.clip) == (1e-6, 0.01, 1.0, 0.2)
    assert (config.policy_coef, config.kl_coef, config.entropy_coef) == (1, 0.001, 0.001)
    assert (config.eval_every, config.dtype, config.micro_batch_tokens) == (20, "bfloat16", 24_000)


def test_the_settings_fit_on_one_screen():
    assert len(fields(train_grpo.Config)) <= 30


@pytest.mark.parametrize("option", ["--top-p", "--top-k"])
def test_training_knows_no_top_p_and_no_top_k(option, capsys):
    with pytest.raises(SystemExit):
        record.parse(train_grpo.Config, train_grpo.RECIPES, [option, "1"])
    assert "nrecognized" in capsys.readouterr().err
