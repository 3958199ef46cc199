"""policy.py: packing, scoring and sharding give the numbers that each sequence alone would give."""

import math
from types import SimpleNamespace

import pytest
import torch
from conftest import oracle

import model
import policy

CPU = torch.device("cpu")
PROMPTS = [torch.tensor([3, 4, 5]), torch.tensor([9, 8])]


def test_pack_places_prompts_once_and_predicts_each_token_from_the_one_before():
    packed = policy.pack([PROMPTS[0], PROMPTS[0], PROMPTS[1]],
                         [torch.tensor([11, 12]), torch.tensor([13]), torch.tensor([14, 15, 16])], CPU)
    #                                    prompt 0  | 11 | prompt 1 | 14 15      a last token is no input
    assert packed.tokens.tolist() == [3, 4, 5, 11, 9, 8, 14, 15]
    assert packed.positions.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert packed.targets.tolist() == [11, 12, 13, 14, 15, 16]
    assert packed.predict.tolist() == [2, 3, 2, 5, 6, 7]      # 11 and 13 both from prompt 0's last token


@pytest.mark.parametrize("name", ["qwen2-untied", "qwen3-tied", "llama-rope3"])
def test_token_logprobs_and_entropies_are_transformers_at_temperature_06(folders, name):
    T, reference = 0.6, oracle(folders[name])
    prompts, responses = [PROMPTS[0], PROMPTS[0], PROMPTS[1]], list(torch.randint(300, (24,)).split((1, 9, 14)))
    logprob, entropy = policy.token_logprobs(model.load(folders[name]), policy.pack(prompts, responses, CPU), T)
    expected = []
    for prompt, response in zip(prompts, responses, strict=True):
        logits = reference(torch.cat((prompt, response))[None]).logits[0, len(prompt) - 1:-1].double() / T
        logp = logits.log_softmax(-1)
        expected.append((logp[range(len(response)), response], -(logp.exp() * logp).sum(-1)))
    torch.testing.assert_close(logprob.double(), torch.cat([e[0] for e in expected]), atol=1e-4, rtol=0)
    torch.testing.assert_close(entropy.double(), torch.cat([e[1] for e in expected]), atol=1e-4, rtol=0)


def test_micro_batches_hold_every_sequence_once_within_the_token_limit(world):
    lengths = [5, 50, 7, 30, 30, 1, 49]
    parts = policy.micro_batches(lengths, 60, world)
    assert sorted(i for part in parts for i in part) == list(range(7))
    assert all(sum(lengths[i] for i in part) <= 60 for part in parts)
    assert policy.micro_batches([500, 3], 60, world) == [[0], [1]]        # one sequence may exceed the limit, alone


def test_every_rank_makes_as_many_micro_batches_as_the_busiest():
    busy = SimpleNamespace(gather=lambda counts: counts + [5])           # another rank needs 5
    parts = policy.micro_batches([4] * 8, 100, busy)
    assert len(parts) == 5 and all(parts) and sorted(sum(parts, [])) == list(range(8))


def test_fp32_masters_move_at_lr_1e6_under_bf16_computation_where_bf16_weights_stand_still(folders, world):
    decoder = policy.shard(model.load(folders["qwen2-tied"]), world.mesh, torch.bfloat16)
    # on one process the gathered weights may be the masters themselves: keep a copy
    before = {name: p.clone() for name, p in policy.gathered(decoder, CPU, torch.float32).state_dict().items()}
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=1e-6)
    packed = policy.pack(PROMPTS, [torch.arange(20, 40), torch.arange(50, 60)], CPU)
    logprob, _ = policy.token_logprobs(decoder, packed, 1.0)
    (-logprob.mean()).backward()
    optimizer.step()
    after = policy.gathered(decoder, CPU, torch.float32).state_dict()
    name = "model.layers.0.mlp.gate_proj.weight"                          # values of about 0.2: bf16 steps are 1e-3
    moved = (after[name] - before[name]).abs()
    assert 5e-7 < moved.mean() < 2e-6
    stands_still = (before[name].bfloat16() - 1e-6).bfloat16() == before[name].bfloat16()
    assert stands_still.float().mean() > 0.99                             # all but the few values near zero


def test_masters_and_optimizer_may_live_in_cpu_memory(folders, world):
    decoder = policy.shard(model.load(folders["qwen2-tied"]), world.mesh, cpu_offload=True)
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=1e-2)
    packed = policy.pack(PROMPTS[:1], [torch.arange(20, 30)], CPU)
    before = policy.token_logprobs(decoder, packed, 1.0)[0]
    before.mean().neg().backward()
    optimizer.step()
    assert policy.token_logprobs(decoder, packed, 1.0)[0].mean() > before.mean()


def test_gathered_weights_are_the_masters_and_take_no_gradient(folders, world):
    decoder = policy.shard(model.load(folders["qwen2-tied"]), world.mesh)
    plain = policy.gathered(decoder, CPU, torch.float32)
    for mine, whole in zip(decoder.parameters(), plain.parameters(), strict=True):
        assert torch.equal(mine.to_local(), whole) and mine.requires_grad and not whole.requires_grad


def test_a_checkpoint_restores_weights_and_moments_and_older_trainer_states_go(folders, tokenizer, world, tmp_path):
    def fresh():
        decoder = policy.shard(model.load(folders["qwen2-tied"]), world.mesh)
        return decoder, torch.optim.AdamW(decoder.parameters(), lr=1e-2)

    def step(decoder, optimizer, seed):
        response = torch.randint(300, (12,), generator=torch.Generator().manual_seed(seed))
        logprob, _ = policy.token_logprobs(decoder, policy.pack(PROMPTS[:1], [response], CPU), 1.0)
        (-logprob.mean()).backward()
        optimizer.step()
        optimizer.zero_grad()

    decoder, optimizer = fresh()
    for n in (1, 2):
        step(decoder, optimizer, n)
        policy.save_checkpoint(tmp_path / f"step_{n}", decoder, optimizer, tokenizer, world, torch.float32)
    assert sorted(p.parent.name for p in tmp_path.glob("*/trainer")) == ["step_2"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step_1", "step_2"]
    restored, its_optimizer = fresh()
    assert policy.load_checkpoint(tmp_path, restored, its_optimizer) == 2
    for d, o in ((decoder, optimizer), (restored, its_optimizer)):
        step(d, o, 3)                                                      # needs the same moments to agree
    for a, b in zip(decoder.parameters(), restored.parameters(), strict=True):
        assert torch.equal(a.to_local(), b.to_local())
    other = torch.optim.AdamW(restored.parameters(), lr=0.5, weight_decay=0.25)
    policy.load_checkpoint(tmp_path, restored, other)                     # a changed setting is not undone by resuming
    assert (other.param_groups[0]["lr"], other.param_groups[0]["weight_decay"]) == (0.5, 0.25)
    with pytest.raises(FileNotFoundError, match="no checkpoint to resume from"):
        policy.load_checkpoint(tmp_path / "nowhere", restored, its_optimizer)


def test_sums_are_exact_in_float64(world):
    assert world.sum(2**53 - 1, math.pi) == [2**53 - 1, math.pi]
