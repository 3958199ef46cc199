"""What the three kernels promise, judged in float64.

The same tests try three machines. On a CPU they try the plain-torch references, and the last test runs this
file once more under TRITON_INTERPRET=1, where the same calls run the Triton kernels. On a CUDA device they
try the compiled kernels. An error is judged beside the error that eager torch makes in the same input dtype.
"""
from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

import kernels
from kernels import linear, logits, sampling
from kernels.dispatch import tl
from kernels.linear import linear_logprob_entropy_reference
from kernels.logits import logprob_entropy_reference
from kernels.sampling import sample_tokens_reference

INTERPRET = kernels.dispatch.INTERPRET
DEVICE = "cuda" if torch.cuda.is_available() and not INTERPRET else "cpu"
TRITON = kernels.backend(torch.empty(0, device=DEVICE)) == "triton"
needs_triton = pytest.mark.skipif(not TRITON, reason="about Triton: runs in the last test")
references_only = pytest.mark.skipif(INTERPRET, reason="many draws: too slow in the interpreter")
TOLERANCE = 1e-5  # beyond eager's own error, of the largest true value or of 1: fp32 near 100 is 8e-6 apart
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def random_logits(N, V, dtype=torch.float32, scale=4.0):
    return (scale * torch.randn(N, V, device=DEVICE)).to(dtype), torch.randint(V, (N,), device=DEVICE)


def judged(function, inputs, targets, T, weights=(0.7, -0.3), dtype=None):
    """-> logprob, entropy, and the gradients of sum(w_0 r logprob + w_1 r entropy), all in float64."""
    leaves = [x.detach().to(dtype or x.dtype).requires_grad_() for x in inputs]
    logprob, entropy = function(*leaves, targets, T)
    r = torch.linspace(-1, 1, len(targets), device=DEVICE, dtype=logprob.dtype)
    (weights[0] * (r * logprob).sum() + weights[1] * (r * entropy).sum()).backward()
    return [x.detach().double() for x in (logprob, entropy, *(leaf.grad for leaf in leaves))]


def eager(x, targets, T):
    """What one writes without a kernel, in the dtype of x all the way."""
    logp = torch.log_softmax(x / T, 1)
    return logp.gather(1, targets[:, None]).squeeze(1), -(logp.exp() * logp).sum(1)


def eager_linear(hidden, weight, targets, T):
    return eager(hidden @ weight.T, targets, T)


def assert_no_worse_than_eager(ours, theirs, truth, slack=1):
    for name, a, b, t in zip(("logprob", "entropy", "gradient", "gradient of weight"), ours, theirs, truth):
        assert a.isfinite().all(), name
        tolerance = slack * (b - t).abs().max() + TOLERANCE * t.abs().max().clamp_min(1)
        assert (a - t).abs().max() <= tolerance, name


# ---------------------------------------------------------------- 1: logits -> log-prob and entropy


def test_by_hand_probabilities_of_one_to_four_tenths():
    x = torch.tensor([[1.0, 2, 3, 4]], device=DEVICE).log()  # p = .1 .2 .3 .4; at T = 1/2 p = 1 4 9 16 / 30
    y = torch.tensor([3], device=DEVICE)
    logprob, entropy = kernels.logprob_entropy(x, y)
    assert logprob.item() == pytest.approx(math.log(0.4), abs=1e-6)
    assert entropy.item() == pytest.approx(-sum(p * math.log(p) for p in (0.1, 0.2, 0.3, 0.4)), abs=1e-6)
    assert kernels.logprob_entropy(x, y, 0.5)[0].item() == pytest.approx(math.log(16 / 30), abs=1e-6)


@pytest.mark.parametrize("T", (0.6, 1.0, 2.0))
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("N, V", ((37, 1003), (2, 151_936)))
def test_error_is_at_most_that_of_eager_torch_in_the_same_dtype(N, V, dtype, T):
    x, y = random_logits(N, V, dtype)
    truth = judged(logprob_entropy_reference, [x], y, T, dtype=torch.float64)
    assert {out.dtype for out in kernels.logprob_entropy(x, y, T)} == {torch.float32}
    ours, theirs = (judged(f, [x], y, T) for f in (kernels.logprob_entropy, eager))
    assert_no_worse_than_eager(ours, theirs, truth)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_peaks_ties_and_equal_logits(dtype):
    x, _ = random_logits(5, 1003, dtype)
    x[0, 500] = 60  # one token takes all
    x[1, 7], x[1, 1002] = 60, 60  # two tokens share all: ln 2 nats
    x[2] = 0  # uniform: ln 1003 nats
    x[3] = 1000  # and the same far from zero
    x[4, 0] = -60
    y = torch.tensor([500, 1002, 3, 4, 0], device=DEVICE)
    logprob, entropy = kernels.logprob_entropy(x, y)
    nats = [0, math.log(2), math.log(1003), math.log(1003)]
    assert entropy[:4].tolist() == pytest.approx(nats, abs=1e-5)
    assert (-logprob[:4]).tolist() == pytest.approx(nats, abs=1e-5)
    truth = judged(logprob_entropy_reference, [x], y, 0.6, dtype=torch.float64)
    ours, theirs = (judged(f, [x], y, 0.6) for f in (kernels.logprob_entropy, eager))
    assert_no_worse_than_eager(ours, theirs, truth)


def test_a_logit_of_minus_infinity_adds_nothing_and_gets_no_gradient():
    inf, log3 = math.inf, math.log(3)
    x = torch.tensor([[-inf, 0, log3, -inf], [-inf, -inf, -inf, 2]], device=DEVICE, requires_grad=True)
    logprob, entropy = kernels.logprob_entropy(x, torch.tensor([2, 3], device=DEVICE))
    assert logprob.tolist() == pytest.approx([math.log(0.75), 0], abs=1e-6)
    assert entropy.tolist() == pytest.approx([-0.25 * math.log(0.25) - 0.75 * math.log(0.75), 0], abs=1e-6)
    (logprob + entropy).sum().backward()
    d = -0.25 + 0.25 * 0.75 * log3  # equation (4) with p = 1/4, 3/4
    assert x.grad[0].tolist() == pytest.approx([0, d, -d, 0], abs=1e-6)
    assert x.grad[1].tolist() == [0, 0, 0, 0]
    assert kernels.logprob_entropy(x, torch.tensor([0, 0], device=DEVICE))[0].tolist() == [-inf, -inf]


def test_minus_infinity_across_whole_blocks_of_columns():
    x, y = random_logits(3, 9000)
    x[0, :8500], y[0] = -math.inf, 8999  # the first blocks hold nothing
    x[1, 100:], y[1] = -math.inf, 5  # and here the last
    truth = judged(logprob_entropy_reference, [x], y, 1.0, dtype=torch.float64)
    for a, t in zip(judged(kernels.logprob_entropy, [x], y, 1.0), truth):
        assert (a - t).abs().max() < TOLERANCE


@settings(max_examples=20, deadline=None)
@given(N=st.integers(0, 5), V=st.integers(1, 300), T=st.floats(0.3, 3.0), seed=st.integers(0, 10**6))
def test_any_shape_down_to_no_row_and_one_column(N, V, T, seed):
    torch.manual_seed(seed)
    x, y = random_logits(N, V)
    truth = judged(logprob_entropy_reference, [x], y, T, dtype=torch.float64)
    for a, t in zip(judged(kernels.logprob_entropy, [x], y, T), truth):
        assert a.shape == t.shape
        assert torch.allclose(a, t, atol=2 * TOLERANCE)  # logits reach 20 / 0.3


def test_strided_rows_and_strided_columns_give_what_a_copy_gives():
    x, y = random_logits(6, 500)
    expected = judged(kernels.logprob_entropy, [x], y, 1.0)
    for view in (torch.cat((x, x), 1)[:, :500], x.T.contiguous().T):
        assert not view.is_contiguous()
        for a, e in zip(judged(kernels.logprob_entropy, [view], y, 1.0), expected):
            assert (a - e).abs().max() < 1e-6


@pytest.mark.parametrize("weights", ((1.0, 0.0), (0.0, 1.0)), ids=("logprob only", "entropy only"))
def test_one_output_may_have_a_zero_gradient_or_none(weights):
    x, y = random_logits(7, 300)
    truth = judged(logprob_entropy_reference, [x], y, 1.0, weights, dtype=torch.float64)
    gradient = judged(kernels.logprob_entropy, [x], y, 1.0, weights)[2]
    assert (gradient - truth[2]).abs().max() < 1e-6
    leaf = x.clone().requires_grad_()
    output = kernels.logprob_entropy(leaf, y)[weights.index(1.0)]  # the other output is never used
    (output * torch.linspace(-1, 1, 7, device=DEVICE)).sum().backward()
    assert (leaf.grad - truth[2]).abs().max() < 1e-6


def test_reference_gradients_are_finite_differences():
    x = torch.randn(3, 7, dtype=torch.float64, requires_grad=True)
    h, w = (torch.randn(n, 4, dtype=torch.float64, requires_grad=True) for n in (3, 7))
    y = torch.tensor([0, 6, 3])
    assert torch.autograd.gradcheck(lambda x: kernels.logprob_entropy(x, y, 0.6), x)
    assert torch.autograd.gradcheck(lambda h, w: kernels.linear_logprob_entropy(h, w, y, 0.6), (h, w))


@needs_triton
def test_overwriting_the_logits_gives_the_same_gradient_and_guards_whoever_saved_them():
    x, y = random_logits(5, 600)
    expected = judged(kernels.logprob_entropy, [x], y, 0.6)[2]
    leaf = x.clone().requires_grad_()
    computed = leaf * 1.0
    spy = (computed * computed).sum()  # saves the logits too
    r = torch.linspace(-1, 1, 5, device=DEVICE)
    logprob, entropy = kernels.logprob_entropy(computed, y, 0.6, overwrite_logits=True)
    (0.7 * (r * logprob).sum() - 0.3 * (r * entropy).sum()).backward(retain_graph=True)
    assert torch.equal(leaf.grad.double(), expected)
    assert torch.equal(computed, leaf.grad)  # no second [N, V]
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        spy.backward()


# ---------------------------------------------------------------- 2: hidden states -> log-prob and entropy


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks so small that a test crosses their borders: 128 columns of all rows, or 7 rows of 1003."""
    monkeypatch.setattr(linear, "CHUNK", 1)
    monkeypatch.setattr(linear, "CPU_CHUNK", 7 * 1003)
    monkeypatch.setattr(linear, "CPU_ROWS", 1)


def random_head(N, D, V, dtype=torch.float32):
    h = torch.randn(N, D, device=DEVICE).to(dtype)
    return h, (torch.randn(V, D, device=DEVICE) * 4 / D**0.5).to(dtype), torch.randint(V, (N,), device=DEVICE)


@pytest.mark.parametrize("T", (0.6, 1.0, 2.0))
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_linear_error_is_at_most_that_of_eager_torch_in_the_same_dtype(dtype, T, small_chunks):
    h, w, y = random_head(17, 24, 1003, dtype)
    truth = judged(linear_logprob_entropy_reference, [h, w], y, T, dtype=torch.float64)
    ours, theirs = (judged(f, [h, w], y, T) for f in (kernels.linear_logprob_entropy, eager_linear))
    # Triton's interpreter cuts fp32 off to bf16 where a GPU rounds: twice the error in dL/dlogits, biased.
    assert_no_worse_than_eager(ours, theirs, truth, slack=3 if INTERPRET and dtype == torch.bfloat16 else 1)


def test_linear_at_the_real_vocabulary_with_few_rows():
    h, w, y = random_head(2, 16, 151_936)
    truth = judged(linear_logprob_entropy_reference, [h, w], y, 0.6, dtype=torch.float64)
    ours, theirs = (judged(f, [h, w], y, 0.6) for f in (kernels.linear_logprob_entropy, eager_linear))
    assert_no_worse_than_eager(ours, theirs, truth, slack=2)  # dL/dhidden is a matmul's sum of 151,936 terms


def test_chunks_do_not_change_the_result(small_chunks, monkeypatch):
    h, w, y = random_head(20, 24, 1003)
    many = judged(kernels.linear_logprob_entropy, [h, w], y, 1.0)
    monkeypatch.undo()
    one = judged(kernels.linear_logprob_entropy, [h, w], y, 1.0)
    for a, b in zip(many, one):
        assert torch.allclose(a, b, atol=2e-6)


class Largest(TorchDispatchMode):
    """Remembers the largest floating-point tensor that any operation makes."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for x in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(x, torch.Tensor) and x.is_floating_point():
                self.numel = max(self.numel, x.numel())
        return out


def test_no_tensor_of_the_size_of_all_logits_is_ever_made(small_chunks):
    h, w, y = random_head(56, 4, 1003)
    with Largest() as largest:
        judged(kernels.linear_logprob_entropy, [h, w], y, 1.0)
    assert largest.numel <= max(56 * 128, 7 * 1003)  # while the logits are 56 x 1003


def test_a_tied_head_adds_its_gradient_to_that_of_the_embedding(small_chunks):
    def tied(f, dtype):
        e = w.to(dtype).requires_grad_()
        logprob, entropy = f(torch.tanh(e[tokens]), e, y, 0.6)
        (logprob.mean() + 0.1 * entropy.mean()).backward()
        return e.grad.double()

    _, w, y = random_head(10, 16, 300)
    tokens = torch.randint(300, (10,), device=DEVICE)
    truth = tied(eager_linear, torch.float64)
    assert (tied(kernels.linear_logprob_entropy, torch.float32) - truth).abs().max() < 1e-6


def test_frozen_inputs_no_grad_and_an_outer_checkpoint(small_chunks):
    def checkpointed(*arguments):
        return checkpoint(kernels.linear_logprob_entropy, *arguments, use_reentrant=False)

    h, w, y = random_head(10, 24, 300)
    truth = judged(linear_logprob_entropy_reference, [h, w], y, 1.0, dtype=torch.float64)
    for trained, expected in ((h, truth[2]), (w, truth[3])):
        h.requires_grad_(trained is h), w.requires_grad_(trained is w)
        for run in (kernels.linear_logprob_entropy, checkpointed):
            logprob, entropy = run(h, w, y, 1.0)
            r = torch.linspace(-1, 1, 10, device=DEVICE)
            (gradient,) = torch.autograd.grad(0.7 * (r * logprob).sum() - 0.3 * (r * entropy).sum(), trained)
            assert (gradient - expected).abs().max() < TOLERANCE
    with torch.no_grad():
        logprob, entropy = kernels.linear_logprob_entropy(h, w, y)
    assert logprob.grad_fn is None and (logprob - truth[0]).abs().max() < TOLERANCE


def test_no_rows_give_empty_results_and_zero_gradients():
    h, w, y = random_head(0, 8, 50)
    logprob, entropy, dh, dw = judged(kernels.linear_logprob_entropy, [h, w], y, 1.0)
    assert logprob.shape == entropy.shape == (0,) and dh.shape == (0, 8) and not dw.any()


def test_gradient_of_the_grpo_loss_is_that_of_the_eager_loss_normalisation_included(small_chunks):
    from train_grpo import grpo_loss

    h, w, y = random_head(40, 16, 300)
    noise, advantage = 0.3 * torch.randn(2, 40, device=DEVICE), torch.randn(40, device=DEVICE)
    old, reference = eager_linear(h.double(), w.double(), y, 0.6)[0] + noise  # ratios on either side of clip

    def gradients(f, dtype, parts):
        leaves = [x.detach().clone().to(dtype).requires_grad_() for x in (h, w)]
        for rows in torch.arange(40, device=DEVICE).chunk(parts):  # micro-batches under one token count
            logprob, entropy = f(leaves[0][rows], leaves[1], y[rows], 0.6)
            o, r, a = (x[rows].to(dtype) for x in (old, reference, advantage))
            loss, _ = grpo_loss(logprob, o, r, entropy, a, 40,
                                policy_coef=1.0, clip=0.2, kl_coef=0.001, entropy_coef=0.001)
            loss.backward()
        return [leaf.grad.double() for leaf in leaves]

    truth = gradients(eager_linear, torch.float64, 1)
    assert truth[0].abs().max() > 1e-3
    for parts in (1, 3):
        for a, t in zip(gradients(kernels.linear_logprob_entropy, torch.float32, parts), truth):
            assert (a - t).abs().max() < 5e-6


# ---------------------------------------------------------------- 3: logits -> a token


def names(B, start=0):
    """Sequences 0, 1, .. and positions 7, 8, 9, 7, ..: B different rows."""
    sequences = torch.arange(start, start + B, device=DEVICE)
    return sequences, sequences % 3 + 7


def draw(x, T=1.0, seed=1, step=2, start=0):
    return kernels.sample_tokens(x, T, seed, step, *names(len(x), start))


def chi_square_z(counts, p):
    """How many standard deviations the chi-square statistic lies above its mean; rare tokens are pooled."""
    rare = p * counts.sum() < 5
    counts, p = (torch.cat((x[~rare].double(), x[rare].double().sum()[None])) for x in (counts, p))
    expected = p.clamp_min(1e-300) * counts.sum()
    df = (p > 0).sum() - 1
    return (((counts - expected) ** 2 / expected).sum() - df) / (2 * df) ** 0.5


@references_only
@pytest.mark.parametrize("T", (0.6, 1.0, 2.0))
@pytest.mark.parametrize("V", (5, 128, 400))
def test_draws_follow_the_softmax_at_the_temperature(V, T):
    x = 2 * torch.randn(1, V, device=DEVICE)
    rounds = [draw(x.expand(20_000, V), T, start=20_000 * i)[0] for i in range(5)]
    counts = torch.bincount(torch.cat(rounds), minlength=V)
    assert chi_square_z(counts.cpu(), (x[0].double() / T).softmax(0).cpu()) < 5


@references_only
def test_a_token_of_probability_one_in_a_thousand_is_drawn_as_often():
    x = torch.zeros(1, 300, device=DEVICE)
    x[0, 290] = math.log(299 * 1e-3 / (1 - 1e-3))
    hits = sum(int((draw(x.expand(20_000, 300), start=20_000 * i)[0] == 290).sum()) for i in range(5))
    assert abs(hits - 100) < 50  # of 100,000 draws; the standard deviation is 10


@references_only
@pytest.mark.parametrize("other", ("next position", "next sequence", "next step", "next seed", "next token"))
def test_random_numbers_of_neighbours_are_independent(other):
    """16 x 16 cells, 12 million pairs (u, u'); and the same for tokens that are 2,048 apart."""

    def uniform(seed=0, step=0, sequence=0, position=0, token=0):
        sequences = torch.arange(3000, device=DEVICE) // 50 + sequence
        positions = torch.arange(3000, device=DEVICE) % 50 + position
        key = sampling._mix64(sampling._keys(seed, step, sequences, positions))[:, None]
        index = torch.arange(4096, device=DEVICE, dtype=torch.int32) + token
        return sampling._random(index, key.to(torch.int32), (key >> 32).to(torch.int32))  # [3000, 4096]

    def dependence(u, v):
        counts = torch.bincount(((u * 16).long() * 16 + (v * 16).long()).flatten(), minlength=256)
        return chi_square_z(counts.cpu(), torch.full((256,), 1 / 256))

    u = uniform()
    assert dependence(u, uniform(**{other.split()[1]: 1})) < 5
    assert dependence(u[:, :2048], u[:, 2048:]) < 5


def test_the_draw_does_not_depend_on_the_batch():
    x = 3 * torch.randn(24, 1003, device=DEVICE)
    token, logprob = draw(x)
    sequences, positions = names(24)
    for rows in ([5], [23, 5, 0], list(range(23, -1, -1))):
        again = kernels.sample_tokens(x[rows], 1.0, 1, 2, sequences[rows], positions[rows])
        assert torch.equal(again[0], token[rows]) and torch.equal(again[1], logprob[rows])
    assert not torch.equal(draw(x, seed=3)[0], token)
    assert not torch.equal(draw(x, step=3)[0], token)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("B, V", ((40, 400), (12, 1003), (2, 151_936)))
def test_float64_draws_the_same_tokens_and_the_log_prob_is_that_of_the_softmax(B, V, dtype):
    x, _ = random_logits(B, V, dtype)
    for T in (0.6, 1.0, 2.0):
        token, logprob = draw(x, T)
        expected, _ = sample_tokens_reference(x.double(), T, 1, 2, *names(B))
        assert torch.equal(token, expected)
        truth = torch.log_softmax(x.double() / T, 1).gather(1, token[:, None]).squeeze(1)
        assert logprob.dtype == torch.float32 and (logprob - truth).abs().max() < TOLERANCE


def test_what_is_sampled_from_head_logits_is_what_linear_scores(small_chunks):
    h, w, _ = random_head(20, 24, 300, torch.bfloat16)
    token, logprob = draw(kernels.head_logits(h, w), 0.6)
    assert (kernels.linear_logprob_entropy(h, w, token, 0.6)[0] - logprob).abs().max() < TOLERANCE
    token, logprob = draw(h @ w.T, 0.6)  # logits rounded to bf16 are another policy
    assert (kernels.linear_logprob_entropy(h, w, token, 0.6)[0] - logprob).abs().max() > 1e-3


def test_minus_infinity_is_never_drawn():
    x = torch.full((30, 1003), -math.inf, device=DEVICE)
    x[:, 200], x[:, 1002] = 0.0, -1.0
    token, logprob = draw(x)
    assert set(token.tolist()) == {200, 1002}
    assert (logprob[token == 200] + math.log(1 + 1 / math.e)).abs().max() < 1e-6
    assert draw(x[:, 500:])[0].unique().tolist() == [502]


def test_temperature_zero_is_the_first_largest_logit_with_its_log_prob_at_temperature_one():
    x = torch.zeros(2, 1003, device=DEVICE)
    x[0, 300], x[0, 700] = 2.0, 2.0
    x[1, 1001], x[1, 1002] = 1 - 2**-24, 1.0  # nearest neighbours in fp32
    token, logprob = draw(x, 0)
    assert token.tolist() == [300, 1002]
    assert logprob[0].item() == pytest.approx(2 - math.log(1001 + 2 * math.e**2), abs=1e-5)


def test_one_column_and_no_rows():
    assert [out.tolist() for out in draw(torch.full((2, 1), 5.0, device=DEVICE))] == [[0, 0], [0, 0]]
    assert [out.shape for out in draw(torch.empty(0, 400, device=DEVICE))] == [(0,), (0,)]


def test_strided_logits_draw_what_a_copy_draws():
    x = torch.randn(9, 800, device=DEVICE)
    for view in (x[:, :400], x.T[:400].contiguous().T):
        assert torch.equal(draw(view)[0], draw(view.contiguous())[0])


def test_uniforms_never_reach_zero_or_one():
    extremes = torch.tensor([0, 2**31 - 1], dtype=torch.int32)
    u = (extremes + 0.5) * 4.656612596064501e-10  # the last line of _random
    assert u.dtype == torch.float32 and 0 < u[0] and u[1] == 1 - 2**-24


@kernels.dispatch.jit
def store_exponentials(out_ptr, low, high, N: tl.constexpr):
    index = tl.arange(0, N)
    tl.store(out_ptr + index, sampling._exponential(index, low, high))


@needs_triton
def test_the_kernel_s_exponentials_are_those_of_log1p():
    out = torch.empty(8192, device=DEVICE)
    store_exponentials[(1,)](out, 123, 456, N=8192)
    u = sampling._random(torch.arange(8192, dtype=torch.int32), 123, 456).double()
    assert u.min() < 1e-3 and u.max() > 0.999
    assert (out.cpu().double() / -torch.log1p(-u) - 1).abs().max() < 5e-7


# ---------------------------------------------------------------- bad input, and which implementation runs

X, Y = torch.zeros(3, 5, device=DEVICE), torch.zeros(3, dtype=torch.int64, device=DEVICE)
LEAF = torch.zeros(3, 5, device=DEVICE, requires_grad=True)


@pytest.mark.parametrize("call, error, message", (
    (lambda: kernels.logprob_entropy(X[0], Y), ValueError, "logits must be a matrix"),
    (lambda: kernels.logprob_entropy(X[:, :0], Y), ValueError, "at least one column"),
    (lambda: kernels.logprob_entropy(X.long(), Y), TypeError, "logits must be one of torch.float32"),
    (lambda: kernels.logprob_entropy(X, Y[:2]), ValueError, r"targets must have shape \(3,\)"),
    (lambda: kernels.logprob_entropy(X, Y.int()), TypeError, "targets must be torch.int64"),
    (lambda: kernels.logprob_entropy(X, Y.to("meta")), ValueError, "targets is on meta"),
    (lambda: kernels.logprob_entropy(X, Y + 5), ValueError, "targets must lie in 0 .. 4, got 5 .. 5"),
    (lambda: kernels.logprob_entropy(X, Y - 1), ValueError, "got -1 .. -1"),
    (lambda: kernels.logprob_entropy(X, Y, 0.0), ValueError, "temperature must be positive"),
    (lambda: kernels.logprob_entropy(X, Y, math.nan), ValueError, "temperature must be positive"),
    (lambda: kernels.logprob_entropy(LEAF, Y, overwrite_logits=True), ValueError, "no leaf"),
    (lambda: kernels.linear_logprob_entropy(X, X[:, :4], Y), ValueError, r"weight \[V, D\] is \(3, 4\)"),
    (lambda: kernels.linear_logprob_entropy(X, X.half(), Y), TypeError, "weight is torch.float16"),
    (lambda: kernels.linear_logprob_entropy(X, X.to("meta"), Y), TypeError, "on meta"),
    (lambda: kernels.linear_logprob_entropy(X, X[:2], Y + 2), ValueError, "0 .. 1, got 2 .. 2"),
    (lambda: kernels.linear_logprob_entropy(X, X, Y, -1.0), ValueError, "temperature must be positive"),
    (lambda: kernels.sample_tokens(X, -0.5, 0, 0, Y, Y), ValueError, "temperature must be positive"),
    (lambda: kernels.sample_tokens(X, 1.0, 0, 0, Y[:2], Y), ValueError, "sequences must have shape"),
    (lambda: kernels.sample_tokens(X, 1.0, 0, 0, Y, Y.float()), TypeError, "positions must be torch.int64"),
))  # fmt: skip
def test_bad_input_is_a_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_which_backend_runs_can_be_asked_for():
    assert kernels.backend(X) == ("triton" if INTERPRET or DEVICE == "cuda" else "reference")
    assert kernels.backend(X.double()) == "reference"  # the judge never goes through what it judges


@references_only
def test_the_package_works_where_triton_is_not_installed():
    program = """if True:
        import sys
        sys.modules["triton"] = None  # makes its import an ImportError
        import torch, kernels
        y = torch.zeros(2, dtype=torch.int64)
        print(kernels.backend(torch.zeros(1)))
        h, w = torch.zeros(2, 3), torch.zeros(4, 3)
        print(kernels.linear_logprob_entropy(h, w, y)[1].exp().round().tolist())
        print(kernels.sample_tokens(torch.eye(2) * 99, 1.0, 0, 0, y, y)[0].tolist())"""
    run = subprocess.run([sys.executable, "-c", program], cwd=os.path.dirname(kernels.__path__[0]),
                         capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["reference", "[4.0, 4.0]", "[0, 1]"]


@references_only
@pytest.mark.parametrize("dtype", ("fp32", "bf16", "fp16"))
def test_every_kernel_compiles_for_an_h200_without_one(dtype):
    triton = pytest.importorskip("triton")
    if "nvidia" not in triton.backends.backends:
        pytest.skip("this Triton has no NVIDIA backend")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    types = dict(inv_T="fp32", logits_ptr=f"*{dtype}", out_ptr=f"*{dtype}")
    types |= dict.fromkeys(("targets_ptr", "key_ptr", "token_ptr"), "*i64")
    for kernel, constants in (
        (logits._forward_kernel, dict(BLOCK=logits.BLOCK)),
        (logits._backward_kernel, dict(BLOCK=logits.BLOCK)),
        (sampling._group_kernel, dict(TILE=sampling.TILE, GROUP=sampling.GROUP)),
        (sampling._draw_kernel, dict(GREEDY=False, GROUPS=2048, GROUP=sampling.GROUP)),
    ):
        signature = {n: types.get(n, "*fp32" if n.endswith("_ptr") else "i32") for n in kernel.arg_names}
        signature |= dict.fromkeys(constants, "constexpr")
        source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
        assert triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["cubin"]


@pytest.mark.skipif(TRITON, reason="this run tries the Triton kernels already")
def test_all_of_the_above_holds_for_the_triton_kernels_in_the_interpreter():
    pytest.importorskip("triton")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", __file__],
        env=os.environ | {"TRITON_INTERPRET": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
