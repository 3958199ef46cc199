"""sample.py: what is drawn, from which distribution, and that nothing but the counter decides it."""

import math

import pytest
import torch
from conftest import FAMILIES, oracle

import model
import policy
import sample

PROMPTS = [torch.tensor(ids) for ids in ([5, 6, 7], [9] * 17, [250, 3, 120, 44, 8, 91, 17, 60])]


def generate(decoder, prompts=PROMPTS, **changed):
    settings = dict(n=1, max_new_tokens=24, temperature=1.0, stop_ids=[2], seed=0, step=0) | changed
    return sample.generate(decoder, prompts, **settings)


@pytest.mark.parametrize("name", FAMILIES)
def test_greedy_equals_transformers_generate_token_for_token(folders, name):
    ours, reference = model.load(folders[name]), oracle(folders[name])
    got = generate(ours, temperature=0.0, max_new_tokens=60)
    for prompt, tokens in zip(PROMPTS, got.tokens, strict=True):
        theirs = reference.generate(prompt[None], max_new_tokens=60, do_sample=False, eos_token_id=2, pad_token_id=0)
        assert tokens.tolist() == theirs[0, len(prompt):].tolist()


def test_returned_logprobs_are_transformers_logprobs_at_the_sampling_temperature(folders):
    decoder, reference, T = model.load(folders["qwen2-tied"]), oracle(folders["qwen2-tied"]), 0.6
    got = generate(decoder, n=3, temperature=T)
    for i, (tokens, logprobs) in enumerate(zip(got.tokens, got.logprobs, strict=True)):
        prompt = PROMPTS[got.prompt_index[i]]
        logits = reference(torch.cat((prompt, tokens))[None]).logits[0, len(prompt) - 1:-1] / T
        expected = logits.log_softmax(-1)[range(len(tokens)), tokens]
        torch.testing.assert_close(logprobs, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["qwen2-tied", "qwen3-tied", "llama-rope3"])
def test_sampling_and_training_logprobs_agree_to_1e4(folders, name):
    decoder = model.load(folders[name])
    got = generate(decoder, n=4, temperature=0.6)
    packed = policy.pack([PROMPTS[i] for i in got.prompt_index], got.tokens, torch.device("cpu"))
    logprob, _ = policy.token_logprobs(decoder, packed, 0.6)
    assert (logprob - torch.cat(got.logprobs)).abs().max() < 1e-4


def test_first_tokens_follow_the_softmax_at_the_temperature(folders):
    decoder, T, n = model.load(folders["qwen2-tied"]), 0.6, 4000
    got = generate(decoder, PROMPTS[:1], n=n, max_new_tokens=1, temperature=T)
    p = (oracle(folders["qwen2-tied"])(PROMPTS[0][None]).logits[0, -1] / T).softmax(-1)
    counts = torch.bincount(torch.cat(got.tokens), minlength=len(p)).double()
    often = p * n > 5                                       # chi-square wants 5 expected draws a cell; pool the rest
    expected = torch.cat((p[often] * n, p[~often].sum(0, keepdim=True) * n)).double()
    drawn = torch.cat((counts[often], counts[~often].sum(0, keepdim=True)))
    chi2, cells = ((drawn - expected) ** 2 / expected).sum().item(), len(expected) - 1
    assert chi2 < cells + 4 * math.sqrt(2 * cells)          # mean + 4 standard deviations of chi-square


def test_the_same_counter_draws_the_same_tokens_whatever_the_batch_and_the_waves(folders):
    decoder = model.load(folders["qwen2-tied"])
    whole = generate(decoder, n=6)                           # sequences 0 .. 17
    waves = generate(decoder, n=6, max_rows=4)
    share = generate(decoder, PROMPTS[1:2], n=6, sequences=list(range(6, 12)))      # as a second rank would draw its part
    assert [t.tolist() for t in waves.tokens] == [t.tolist() for t in whole.tokens]
    assert [t.tolist() for t in share.tokens] == [t.tolist() for t in whole.tokens[6:12]]
    assert whole.prompt_index == [0] * 6 + [1] * 6 + [2] * 6


@pytest.mark.parametrize("changed", [dict(seed=1), dict(step=1), dict(sequences=[1, 2, 3])])
def test_another_seed_step_or_sequence_draws_other_tokens(folders, changed):
    decoder = model.load(folders["qwen2-tied"])
    assert [t.tolist() for t in generate(decoder).tokens] != [t.tolist() for t in generate(decoder, **changed).tokens]


def test_a_response_ends_with_its_stop_token_and_counts_as_finished(folders):
    decoder = model.load(folders["qwen2-tied"])
    stops = list(range(0, 300, 10))                          # one token in ten: most stop, some run to the end
    got = generate(decoder, n=16, stop_ids=stops, max_new_tokens=12)
    assert {True, False} == set(got.finished)
    for tokens, logprobs, finished in zip(got.tokens, got.logprobs, got.finished, strict=True):
        assert len(tokens) == len(logprobs)
        assert (tokens[-1].item() in stops) == finished
        assert not any(t in stops for t in tokens[:-1].tolist())
        assert finished or len(tokens) == 12


def test_equal_prompts_are_prefilled_once(folders, monkeypatch):
    decoder, fed = model.load(folders["qwen2-tied"]), []
    forward = decoder.forward
    monkeypatch.setattr(decoder, "forward", lambda tokens, *rest: fed.append(len(tokens)) or forward(tokens, *rest))
    generate(decoder, [PROMPTS[0], PROMPTS[1], PROMPTS[0]], n=8, max_new_tokens=2, stop_ids=[])
    assert fed == [3 + 17, 24]               # prompt tokens once, then one token for each of 3 x 8 rows


def test_top_k_and_top_p_keep_the_sets_that_one_computes_by_hand():
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    kept = lambda **how: torch.isfinite(sample.restrict(logits, **({"top_p": 1.0, "top_k": 0} | how)))[0].tolist()
    assert kept(top_k=2) == [True, True, False, False]
    assert kept(top_p=0.5) == [True, False, False, False]
    assert kept(top_p=0.6) == [True, True, False, False]      # 0.5 does not reach 0.6, 0.5 + 0.3 does
    assert kept(top_p=0.96) == [True, True, True, True]
    assert kept() == [True] * 4


@pytest.mark.parametrize("prompts, changed, message", [
    ([], {}, "a prompt is empty"),
    ([torch.tensor([], dtype=torch.int64)], {}, "a prompt is empty"),
    (PROMPTS, dict(n=0), "n and max_new_tokens must be at least 1"),
    (PROMPTS, dict(max_new_tokens=0), "n and max_new_tokens must be at least 1"),
    (PROMPTS, dict(temperature=-1.0), "temperature must be 0 (greedy) or more"),
    (PROMPTS, dict(max_new_tokens=240), "do not fit into the model's 256 positions"),
    (PROMPTS, dict(stop_ids=[300]), "stop id 300 is outside the model's vocabulary of 300"),
    (PROMPTS, dict(top_p=0.0), "top_p must be in (0, 1]"),
    (PROMPTS, dict(top_k=-1), "top_k must be 0 (off) or more")])
def test_what_cannot_work_is_refused_before_any_work(folders, prompts, changed, message):
    with pytest.raises(ValueError) as error:
        generate(model.load(folders["qwen2-tied"]), prompts, **changed)
    assert message in str(error.value)
