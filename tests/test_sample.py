"""sample.py: what is drawn, from which distribution, and that nothing but the counter decides it."""

import math
import os
import subprocess
import sys

import pytest
import torch
from conftest import FAMILIES, ROOT, oracle
from transformers import Qwen2Config

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


STOPS = list(range(0, 300, 10))                              # one token in ten ends a response: rows leave all the time
ROW = 2 * 2 * 2 * 16 * 4                                     # bytes a token: k and v, 2 layers, 2 kv heads of 16, fp32


def gib_for(rows: int, prompts=PROMPTS, new: int = 24) -> float:
    """The least budget in which `rows` responses decode at a time, out of the shapes; all prompts are held apart."""
    longest = max(map(len, prompts))
    return (len(prompts) * longest * ROW + rows * (ROW * (longest + new + 1) + 300 * 16)) / 2**30


@pytest.mark.parametrize("name", ["qwen2-tied", "qwen3-tied", "llama-rope3"])
def test_the_same_counter_draws_the_same_tokens_whatever_runs_beside_it(folders, name):
    decoder = model.load(folders[name])
    whole = generate(decoder, n=6, stop_ids=STOPS)                                  # sequences 0 .. 17, all at a time
    few = generate(decoder, n=6, stop_ids=STOPS, cache_gib=gib_for(4))              # 4 rows, refilled as they end
    share = generate(decoder, PROMPTS[1:2], n=6, stop_ids=STOPS, sequences=list(range(6, 12)))   # a second rank's part
    assert [t.tolist() for t in few.tokens] == [t.tolist() for t in whole.tokens]
    assert [t.tolist() for t in share.tokens] == [t.tolist() for t in whole.tokens[6:12]]
    assert whole.prompt_index == [0] * 6 + [1] * 6 + [2] * 6


def test_a_budget_holds_the_number_of_rows_that_one_computes_by_hand(folders):
    config, cpu = FAMILIES["qwen2-tied"][0], torch.device("cpu")
    fit = lambda gib, prompts=PROMPTS: sample.rows_that_fit(config, prompts, 100, 24, 1.0, [2], gib, torch.float32, cpu)
    assert fit(gib_for(7)) == 7 and fit(gib_for(7) - 1e-8) == 6          # 3 prompts held, 7 rows; 10 bytes less: 6
    assert fit(1.0) == 300                                               # no more rows than responses
    many = [torch.tensor([i] * 17) for i in range(50)]                   # more prompts than rows: one is held a row
    assert fit(5 * (ROW * (17 + 17 + 24 + 1) + 300 * 16) / 2**30, many) == 5


def test_the_papers_rollouts_fit_a_24_gb_card_in_several_waves():
    config = Qwen2Config(vocab_size=151_936, hidden_size=1536, num_hidden_layers=28, num_attention_heads=12,
                         num_key_value_heads=2)
    prompt, gib = torch.zeros(170, dtype=torch.int64), 16.0                       # 24 GB less weights and activations
    rows = sample.rows_that_fit(config, [prompt], 1024, 3072, 0.6, [151_643], gib, torch.bfloat16, torch.device("cpu"))
    # A token is 28 x 2 x 2 x 128 x 2 = 28,672 bytes, so a row of 170 + 3,073 is 93 MB, and 2.4 MB for logits
    assert rows == (16 * 2**30 - 28_672 * 170) // (28_672 * 3_243 + 16 * 151_936) == 180


def test_the_cache_stays_within_the_budget_that_was_announced(folders):
    decoder = model.load(folders["qwen2-tied"])
    engine = sample.Engine(decoder, 7, 3, 17, 24, [2], None)
    held = sum(t.nbytes for t in (engine.k, engine.v, engine.prompt_k, engine.prompt_v))
    assert held <= gib_for(7) * 2**30


def test_what_stood_in_the_memory_of_the_cache_before_does_not_count(folders):
    decoder, settings = model.load(folders["qwen2-tied"]), dict(n=6, stop_ids=STOPS, cache_gib=gib_for(4))
    expected = generate(decoder, **settings)
    torch.use_deterministic_algorithms(True)              # torch then fills new memory with NaN
    try:
        assert torch.empty(3).isnan().all()
        got = generate(decoder, **settings)
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(a, b) for a, b in zip(got.logprobs, expected.logprobs, strict=True))


def test_no_room_for_one_row_is_said_before_anything_runs(folders, monkeypatch):
    decoder = model.load(folders["qwen2-tied"])
    monkeypatch.setattr(decoder, "forward", None)
    with pytest.raises(ValueError, match="one response needs .* GiB for keys, values and logits, .* raise --cache-gib"):
        generate(decoder, cache_gib=1e-5)


def test_responses_arrive_as_they_end(folders):
    decoder = model.load(folders["qwen2-tied"])
    settings = dict(n=6, max_new_tokens=24, stop_ids=STOPS)
    arrived = list(sample.stream(decoder, PROMPTS, **settings))
    lengths = [len(tokens) for _, tokens, _, _ in arrived]
    assert lengths == sorted(lengths) and len(set(lengths)) > 3          # all begin at once: the shortest ends first
    whole = sample.generate(decoder, PROMPTS, **settings)
    for i, tokens, logprobs, finished in arrived:
        assert torch.equal(tokens, whole.tokens[i]) and torch.equal(logprobs, whole.logprobs[i])
        assert finished == whole.finished[i]


def test_a_waiting_response_takes_a_row_as_soon_as_one_ends(folders, monkeypatch):
    decoder, busy = model.load(folders["qwen2-tied"]), []
    step = sample.Engine.step
    monkeypatch.setattr(sample.Engine, "step", lambda rows, A: busy.append(A) or step(rows, A))
    got = generate(decoder, n=6, stop_ids=STOPS, cache_gib=gib_for(4))
    assert sum(busy) == sum(len(tokens) for tokens in got.tokens)        # no row ever steps for nothing
    last_start = next(i for i, A in enumerate(busy) if A < 4)
    assert set(busy[:last_start]) == {4} and busy[last_start:] == sorted(busy[last_start:], reverse=True)


@pytest.mark.parametrize("rows", [4, 18])
def test_steps_of_a_cuda_graph_draw_the_same_tokens(folders, monkeypatch, rows):
    # As on CUDA, but for the graph itself: prompts apart from the rows (the kernel's reference attends), 16 steps
    # between looks, more rows stepped than run, and before the first graph of a size a step of rows that are not alive
    decoder, sizes = model.load(folders["qwen2-tied"]), set()
    settings = dict(n=6, stop_ids=STOPS, cache_gib=gib_for(rows))
    plain, step = generate(decoder, **settings), sample.Engine.step
    def advance(self, A):
        size = min(sample.graph_size(A), len(self.token))
        if size not in sizes:
            alive = self.alive.clone()
            self.alive.zero_()
            before = self.state.clone()
            step(self, size)
            assert torch.equal(self.state, before)
            self.alive.copy_(alive)
        sizes.add(size)
        for _ in range(sample.STEPS_BETWEEN_LOOKS):
            step(self, size)
    monkeypatch.setattr(sample, "backend", lambda _: "triton")
    monkeypatch.setattr(sample.Engine, "advance", advance)
    graphed = generate(decoder, **settings)
    assert sizes == ({5} if rows == 4 else {18, 8})          # without copies of the prompts 5 rows fit instead of 4
    assert [t.tolist() for t in graphed.tokens] == [t.tolist() for t in plain.tokens]
    assert graphed.finished == plain.finished
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(graphed.logprobs, plain.logprobs))


def test_a_graph_serves_up_to_half_as_many_rows_again():
    assert [sample.graph_size(rows) for rows in (1, 8, 9, 12, 13, 100, 129, 1000)] == [8, 8, 12, 12, 16, 128, 192, 1024]


def test_the_triton_kernel_and_its_shared_prompts_draw_the_same_tokens(folders, tmp_path):
    # The same call with Triton's interpreter, in a process of its own: Triton reads the setting when it is imported
    decoder = model.load(folders["qwen2-tied"])
    settings = dict(n=2, max_new_tokens=3, temperature=1.0, stop_ids=[2], seed=0, step=0)
    script = f"""
import sys; sys.path.insert(0, {str(ROOT)!r})
import torch, model, sample
prompts = {[p.tolist() for p in PROMPTS]}
decoder = model.load({str(folders["qwen2-tied"])!r})
got = sample.generate(decoder, [torch.tensor(p) for p in prompts], **{settings})
assert sample.Engine(decoder, 1, 1, 2, 1, [], None).shared
print([t.tolist() for t in got.tokens])"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                         env=os.environ | {"TRITON_INTERPRET": "1"})
    expected = [t.tolist() for t in sample.generate(decoder, PROMPTS, **settings).tokens]
    assert run.stdout.strip() == str(expected), run.stderr


def test_a_prompt_of_one_token_is_enough(folders):
    ours, reference, prompt = model.load(folders["qwen2-tied"]), oracle(folders["qwen2-tied"]), torch.tensor([7])
    theirs = reference.generate(prompt[None], max_new_tokens=9, do_sample=False, eos_token_id=2, pad_token_id=0)
    for prompts in ([prompt], [prompt, PROMPTS[1]]):         # alone, so that nothing is to be prefilled, and not alone
        got = generate(ours, prompts, temperature=0.0, max_new_tokens=9)
        assert got.tokens[0].tolist() == theirs[0, 1:].tolist()


@pytest.mark.parametrize("changed", [dict(seed=1), dict(step=1), dict(sequences=[1, 2, 3])])
def test_another_seed_step_or_sequence_draws_other_tokens(folders, changed):
    decoder = model.load(folders["qwen2-tied"])
    assert [t.tolist() for t in generate(decoder).tokens] != [t.tolist() for t in generate(decoder, **changed).tokens]


def test_a_response_ends_with_its_stop_token_and_counts_as_finished(folders):
    decoder = model.load(folders["qwen2-tied"])
    got = generate(decoder, n=16, stop_ids=STOPS, max_new_tokens=12)      # most stop, some run to the end
    assert {True, False} == set(got.finished)
    for tokens, logprobs, finished in zip(got.tokens, got.logprobs, got.finished, strict=True):
        assert len(tokens) == len(logprobs)
        assert (tokens[-1].item() in STOPS) == finished
        assert not any(t in STOPS for t in tokens[:-1].tolist())
        assert finished or len(tokens) == 12


def test_equal_prompts_are_prefilled_once(folders, monkeypatch):
    decoder, fed = model.load(folders["qwen2-tied"]), []
    forward = decoder.forward
    monkeypatch.setattr(decoder, "forward", lambda tokens, *rest: fed.append(len(tokens)) or forward(tokens, *rest))
    generate(decoder, [PROMPTS[0], PROMPTS[1], PROMPTS[0]], n=8, max_new_tokens=2, stop_ids=[])
    assert fed == [2 + 16, 24, 24]      # each prompt once but for its last token, then a token for each of 3 x 8 rows
    fed.clear()
    monkeypatch.setattr(sample, "PREFILL_TOKENS", 10)                 # less than a prompt: one in a forward
    generate(decoder, PROMPTS, n=8, max_new_tokens=1, stop_ids=[])
    assert fed == [2, 16, 7, 24]


def test_top_k_and_top_p_keep_the_sets_that_one_computes_by_hand():
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    kept = lambda **how: torch.isfinite(
        sample.restrict(logits, **(dict(temperature=1.0, top_p=1.0, top_k=0) | how)))[0].tolist()
    assert kept(top_k=2) == [True, True, False, False]
    assert kept(top_p=0.5) == [True, False, False, False]
    assert kept(top_p=0.6) == [True, True, False, False]      # 0.5 does not reach 0.6, 0.5 + 0.3 does
    assert kept(top_p=0.96) == [True, True, True, True]
    assert kept() == [True] * 4
    # At temperature 1/2 the probabilities are the squares, .25 .09 .0225 .0025, out of .365: .685 + .247 reach 0.9
    assert kept(temperature=0.5, top_p=0.9) == [True, True, False, False]
    assert kept(temperature=0.5, top_p=0.95) == [True, True, True, False]
    assert kept(top_k=2, top_p=0.6) == [True, False, False, False]         # of the two largest, 0.5 / 0.8 is the first


@pytest.mark.parametrize("temperature, top_p, top_k", [(0.6, 0.95, 0), (1.5, 0.3, 0), (0.6, 0.9, 20), (1.0, 1.0, 5)])
def test_top_k_and_top_p_keep_what_transformers_keeps(temperature, top_p, top_k):
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper
    logits = 3 * torch.randn(20, 500, generator=torch.Generator().manual_seed(0))
    theirs = TemperatureLogitsWarper(temperature)(None, logits)
    theirs = TopKLogitsWarper(top_k)(None, theirs) if top_k else theirs
    theirs = TopPLogitsWarper(top_p)(None, theirs) if top_p < 1 else theirs
    ours = sample.restrict(logits, temperature, top_p, top_k)
    kept = ours.isfinite()
    assert torch.equal(kept, theirs.isfinite()) and torch.equal(ours[kept], logits[kept])


@pytest.mark.parametrize("prompts, changed, message", [
    ([], {}, "a prompt is empty"),
    ([torch.tensor([], dtype=torch.int64)], {}, "a prompt is empty"),
    (PROMPTS, dict(n=0), "n and max_new_tokens must be at least 1"),
    (PROMPTS, dict(max_new_tokens=0), "n and max_new_tokens must be at least 1"),
    (PROMPTS, dict(temperature=-1.0), "temperature must be 0 (greedy) or more"),
    (PROMPTS, dict(max_new_tokens=240), "do not fit into the model's 256 positions"),
    (PROMPTS, dict(stop_ids=[300]), "stop id 300 is outside the model's vocabulary of 300"),
    (PROMPTS, dict(top_p=0.0), "top_p must be in (0, 1]"),
    (PROMPTS, dict(temperature=math.nan), "temperature must be 0 (greedy) or more"),
    (PROMPTS, dict(sequences=[0, 1]), "sequences must number the 3 x 1 responses, got 2"),
    (PROMPTS, dict(top_k=-1), "top_k must be 0 (off) or more")])
def test_what_cannot_work_is_refused_before_any_work(folders, prompts, changed, message):
    with pytest.raises(ValueError) as error:
        generate(model.load(folders["qwen2-tied"]), prompts, **changed)
    assert message in str(error.value)
