"""What attention of one new token over cached keys promises, judged by torch's SDPA in float64, a row at a time.

As in test_kernels.py the same tests try three machines: the plain-torch reference on a CPU; the Triton kernels in
the interpreter, where the last test runs this file once more; the compiled kernels on a CUDA device. Every cache
here is a view into a larger one, and all that is not a real key is NaN.
"""
from __future__ import annotations

import importlib
import math
import os
import subprocess
import sys
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import kernels
from kernels.decode_attention import decode_attention_reference

module = importlib.import_module("kernels.decode_attention")  # kernels.decode_attention itself is the function
INTERPRET = kernels.dispatch.INTERPRET
DEVICE = "cuda" if torch.cuda.is_available() and not INTERPRET else "cpu"
TRITON = kernels.backend(torch.empty(0, device=DEVICE)) == "triton"
needs_triton = pytest.mark.skipif(not TRITON, reason="about Triton: runs in the last test")
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
TOLERANCE = 2e-6  # beyond eager's own error; the values are near 1


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


class Case(NamedTuple):
    """The arguments of decode_attention, in their order."""
    q: Tensor
    prompt_k: Tensor
    prompt_v: Tensor
    prompt: Tensor
    prompt_length: Tensor
    k: Tensor
    v: Tensor
    length: Tensor

    def to(self, dtype):
        return Case(*(x.to(dtype) if x.is_floating_point() else x for x in self))


def slots(shape, real, dtype, garbage=math.nan):
    """A view [n, kv_heads, size, hd] of layer 1 of a larger cache; its first real[i] slots are random."""
    n, kv_heads, size, hd = shape
    cache = torch.full((3, n + 2, kv_heads, size + 3, hd), garbage, device=DEVICE, dtype=dtype)
    view = cache[1, :n, :, :size]
    for row, count in enumerate(real.tolist()):
        view[row, :, :count] = torch.randn(kv_heads, count, hd, device=DEVICE).to(dtype)
    return view


def make(length, prompt_length=(), prompt=(), *, heads=4, kv_heads=2, hd=16, P=0, C=0, dtype=torch.float32, scale=1.0):
    """One row per entry of length; prompts of prompt_length[u] keys (none: an empty one); row r continues
    prompt[r] (none: the first). Scores have the standard deviation `scale`."""
    R, U = len(length), max(1, len(prompt_length))
    counts = torch.tensor(prompt_length or (0,))
    prompt = torch.tensor(prompt or (0,) * R, dtype=torch.int64, device=DEVICE)
    q = scale * torch.randn(R, heads, hd, device=DEVICE)
    length = torch.tensor(length, dtype=torch.int64, device=DEVICE)
    shared = [slots((U, kv_heads, P or int(counts.max()), hd), counts, dtype) for _ in "kv"]
    own = [slots((R, kv_heads, C or int(length.max()), hd), length, dtype) for _ in "kv"]
    return Case(q.to(dtype), *shared, prompt, counts.to(DEVICE)[prompt], *own, length)


def by_row(case, attend):
    """attend(q [heads, 1, hd], keys, values [heads, n, hd]) for each row, over its real keys side by side."""
    group, rows = case.q.shape[1] // case.k.shape[1], []
    for r, (u, p, n) in enumerate(zip(*(x.tolist() for x in (case.prompt, case.prompt_length, case.length)))):
        keys = torch.cat((case.prompt_k[u, :, :p], case.k[r, :, :n]), 1).repeat_interleave(group, 0)
        values = torch.cat((case.prompt_v[u, :, :p], case.v[r, :, :n]), 1).repeat_interleave(group, 0)
        rows.append(attend(case.q[r, :, None], keys, values)[:, 0])
    return torch.stack(rows)  # [R, heads, hd]


def truth(case):
    return by_row(case.to(torch.float64), F.scaled_dot_product_attention)


def eager(q, k, v):
    """What one writes without a kernel, in the dtype of q all the way."""
    return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v


def assert_no_worse_than_eager(case):
    out, true = kernels.decode_attention(*case), truth(case)
    assert out.dtype == case.q.dtype and out.shape == case.q.shape and out.isfinite().all()
    tolerance = (by_row(case, eager) - true).abs().max() + TOLERANCE
    if INTERPRET and out.dtype == torch.bfloat16:  # it cuts fp32 off to bf16 where a GPU rounds: p (a bias) and out
        tolerance = 3 * tolerance + 2**-7 * true.abs().max()
    assert (out - true).abs().max() <= tolerance


def set_processors(monkeypatch, count):
    monkeypatch.setattr(module, "_processors", lambda device: count)


# ---------------------------------------------------------------- the numbers


def test_by_hand_probabilities_of_one_to_four_tenths():
    """Two keys of the prompt and two of the row, with e^x = 1 2 3 4; the values name the keys."""
    q = torch.zeros(1, 1, 4, device=DEVICE)
    q[..., 0] = 2.0  # x = 2 k_0 / sqrt(4) = k_0
    k = torch.zeros(1, 1, 4, 4, device=DEVICE)
    k[0, 0, :, 0] = torch.tensor([1.0, 2, 3, 4]).log()
    v = torch.eye(4, device=DEVICE)[None, None]
    zero, two = torch.tensor([[0], [2]], device=DEVICE)
    out = kernels.decode_attention(q, k[:, :, :2], v[:, :, :2], zero, two, k[:, :, 2:], v[:, :, 2:], two)
    assert out.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=1e-6)


@pytest.mark.parametrize("heads, kv_heads", ((2, 2), (4, 2), (12, 2), (8, 1), (18, 1)))
def test_the_reference_is_torch_sdpa_on_the_keys_side_by_side(heads, kv_heads):
    case = make([1, 9, 4], [7, 3], [1, 0, 1], heads=heads, kv_heads=kv_heads).to(torch.float64)
    assert (decode_attention_reference(*case) - truth(case)).abs().max() < 1e-14
    assert torch.equal(kernels.decode_attention(*case), decode_attention_reference(*case))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("heads, kv_heads, hd", ((12, 2, 128), (8, 1, 80), (2, 2, 8), (6, 1, 256)))
def test_error_is_at_most_that_of_eager_torch_in_the_same_dtype(heads, kv_heads, hd, dtype):
    assert_no_worse_than_eager(
        make([130, 1], [70, 31], [1, 0], heads=heads, kv_heads=kv_heads, hd=hd, dtype=dtype))


@pytest.mark.parametrize("heads, kv_heads", ((2, 2), (4, 2), (12, 2), (8, 1), (18, 1)))
def test_query_head_h_reads_kv_head_h_over_group(heads, kv_heads):
    case = make([1], heads=heads, kv_heads=kv_heads)  # of one key: out is its value
    group = heads // kv_heads
    assert all(torch.equal(kernels.decode_attention(*case)[0, h], case.v[0, h // group, 0]) for h in range(heads))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_peaked_and_huge_scores(dtype):
    case = make([150, 80], [40], dtype=dtype, scale=100.0)
    assert_no_worse_than_eager(case)
    case.k[0, :, 149] = 50 * case.q[0, ::2].sign()  # x near 16,000: this key takes all
    out = kernels.decode_attention(*case)
    assert torch.equal(out[0, ::2], case.v[0, :, 149])


def test_many_equal_keys_give_the_mean_of_the_values():
    case = make([300, 130], [70])
    case.q.zero_()
    out = kernels.decode_attention(*case)
    mean = torch.cat((case.prompt_v[0, :, :70], case.v[0]), 1).double().mean(1)  # [kv_heads, hd]
    assert (out[0] - mean.repeat_interleave(2, 0)).abs().max() < 1e-6


# ---------------------------------------------------------------- which keys


@settings(max_examples=12, deadline=None)
@given(rows=st.lists(st.tuples(st.integers(1, 140), st.integers(0, 2)), min_size=1, max_size=4),
       prompts=st.lists(st.integers(0, 140), min_size=3, max_size=3), spare=st.integers(0, 100))
def test_any_lengths_and_prompts_in_any_order(rows, prompts, spare):
    length, prompt = zip(*rows)
    case = make(length, prompts, prompt, heads=2, kv_heads=1, P=max(*prompts, 1) + spare, C=max(length) + spare)
    assert (kernels.decode_attention(*case) - truth(case)).abs().max() < TOLERANCE


@pytest.mark.parametrize("prompt_n", (0, 1, 63, 64, 65))
def test_lengths_around_a_tile_of_64_keys(prompt_n):
    case = make([1, 63, 64, 65, 128, 129], [prompt_n], heads=2, kv_heads=1, P=70)
    assert (kernels.decode_attention(*case) - truth(case)).abs().max() < TOLERANCE


def test_no_prompt_at_all():
    case = make([5, 90])
    assert case.prompt_k.shape[2] == 0
    assert (kernels.decode_attention(*case) - truth(case)).abs().max() < TOLERANCE


def test_what_is_no_real_key_changes_no_bit():
    case = make([3, 70, 129], [40, 0, 9], [2, 1, 0], P=50, C=200)
    clean = Case(*(x.nan_to_num(0.0) if x.is_floating_point() else x for x in case))
    assert case.k.isnan().any() and case.prompt_v.isnan().any() and not case.k.is_contiguous()
    assert torch.equal(kernels.decode_attention(*case), kernels.decode_attention(*clean))


def test_a_cache_that_stores_tokens_before_heads_needs_no_copy():
    case = make([70, 5], [40, 9], [1, 0])
    strided = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in (case.k, case.prompt_v)]
    assert strided[0].stride() != case.k.stride()
    again = kernels.decode_attention(*case._replace(k=strided[0], prompt_v=strided[1]))
    assert torch.equal(again, kernels.decode_attention(*case))


def test_rows_in_another_order_give_the_same_bits():
    case, order = make([3, 70, 129, 1], [40, 0, 9], [2, 1, 0, 2]), [2, 0, 3, 1]
    shuffled = Case(*(x if name.startswith("prompt_") and x.ndim == 4 else x[order]
                      for name, x in case._asdict().items()))
    assert torch.equal(kernels.decode_attention(*shuffled), kernels.decode_attention(*case)[order])


def test_a_row_without_any_key_gives_zeros_and_disturbs_nobody():
    case = make([0, 70], C=200)
    out = kernels.decode_attention(*case)
    assert not out[0].any() and (out[1:] - truth(Case(*(x[1:] if len(x) == 2 else x for x in case)))).abs().max() < 1e-6


def test_no_rows():
    case = make([1], [3])
    names = ("q", "prompt", "prompt_length", "k", "v", "length")
    empty = case._replace(**{name: getattr(case, name)[:0] for name in names})
    assert kernels.decode_attention(*empty).shape == (0, 4, 16)


@needs_triton
def test_offsets_beyond_two_to_the_31():
    """Row 2 begins 2^31 numbers after row 0. Memory that nobody touches costs nothing on a CPU."""
    cache = torch.empty(2**31 + 64, dtype=torch.float16, device=DEVICE)
    case = make([4, 3, 4], kv_heads=1, dtype=torch.float16)
    far = cache.as_strided(case.k.shape, (2**30, 64, 16, 1))
    far.copy_(case.k)
    assert torch.equal(kernels.decode_attention(*case._replace(k=far)), kernels.decode_attention(*case))


# ---------------------------------------------------------------- splits


@needs_triton
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_one_run_and_many_agree_to_rounding(dtype, monkeypatch):
    case = make([250, 1, 70, 0], [90, 0], [0, 0, 1, 1], C=300, dtype=dtype)
    set_processors(monkeypatch, 1)  # 4 rows x 2 kv heads: one run
    one = kernels.decode_attention(*case)
    set_processors(monkeypatch, 1000)
    many = kernels.decode_attention(*case)  # seven runs, of 64 keys each
    step = {torch.float32: 1e-6, torch.float16: 2**-10, torch.bfloat16: 2**-6}[dtype]
    assert (one - many).abs().max() <= step


@pytest.mark.skipif(not INTERPRET, reason="only in the interpreter can Python count what a kernel does")
def test_programs_without_keys_return_and_the_others_read_real_tiles_alone(monkeypatch):
    """512 slots, 8 programs, tiles of 64: a row of 65 keys is two programs of a tile each; 6 have nothing to do."""
    calls = []
    for name in ("_read_keys", "_dot"):
        function = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *x, name=name, function=function: calls.append(name) or function(*x))
    set_processors(monkeypatch, 4)
    for length, programs, tiles in ((1, 1, 1), (64, 1, 1), (65, 2, 2), (512, 8, 8)):
        calls.clear()
        kernels.decode_attention(*make([length], heads=1, kv_heads=1, C=512))
        assert calls.count("_read_keys") == 2 * programs  # of the prompt, and of the row
        assert calls.count("_dot") == 2 * tiles  # scores and values


def test_splits_fill_the_card_and_no_more():
    """132 processors (H200), 2 kv heads, 170 + 3,242 slots in tiles of 64: 54 tiles."""
    splits = [module._splits(rows * 2, 170 + 3242, 64, 132) for rows in (1, 4, 32, 131, 132, 1024)]
    assert splits == [54, 33, 5, 2, 1, 1]
    assert module._splits(1, 40, 64, 132) == 1  # one tile cannot be split


def test_a_tile_is_16_kb_or_16_keys():
    assert [module._block(hd, 2) for hd in (16, 80, 128, 256)] == [64, 64, 64, 32]
    assert [module._block(hd, 4) for hd in (16, 80, 128, 256)] == [64, 32, 32, 16]


# ---------------------------------------------------------------- nothing waits


class NoHostRead(TorchDispatchMode):
    """Refuses every operation whose result the host must wait for."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func.overloadpacket.__name__ not in ("_local_scalar_dense", "nonzero", "masked_select", "equal"), func
        return func(*args, **(kwargs or {}))


def test_nothing_of_a_tensor_is_read_on_the_host():
    case = make([70, 3], [40])
    with NoHostRead():
        kernels.decode_attention(*case)
        with pytest.raises(AssertionError, match="_local_scalar_dense"):
            case.length.max().item()


@pytest.mark.skipif(DEVICE == "cpu", reason="CUDA graphs need a GPU")
@pytest.mark.parametrize("rows", (1, 300))
def test_a_captured_graph_follows_lengths_that_change(rows):
    case = make([200] * rows, [90, 31], [0] * rows, dtype=torch.bfloat16)
    kernels.decode_attention(*case)  # compiles
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = kernels.decode_attention(*case)
    for length, number, prompt_n in ((200, 0, 90), (1, 1, 31), (131, 1, 0)):
        for tensor, value in ((case.length, length), (case.prompt, number), (case.prompt_length, prompt_n)):
            tensor.fill_(value)
        graph.replay()
        assert torch.equal(out, kernels.decode_attention(*case))


# ---------------------------------------------------------------- bad input, and which implementation runs


@pytest.mark.parametrize("change, error, message", (
    (lambda c: dict(q=c.q[0]), ValueError, r"q must be \[R, heads, hd\]"),
    (lambda c: dict(q=c.q.expand(2, 4, 16).repeat(1, 1, 17)), ValueError, "hd in 1 .. 256"),
    (lambda c: dict(q=c.q.long()), TypeError, "q must be one of torch.float32"),
    (lambda c: dict(q=c.q[:, :3]), ValueError, "kv_heads a divisor of 3"),
    (lambda c: dict(k=c.k[:1]), ValueError, r"k must be \[2, kv_heads, C, 16\]"),
    (lambda c: dict(k=c.k[..., :8]), ValueError, r"k must be \[2, kv_heads, C, 16\]"),
    (lambda c: dict(v=c.v[:, :, 1:]), ValueError, r"v must have the shape \(2, 2, 5, 16\)"),
    (lambda c: dict(v=c.v.half()), TypeError, "v is torch.float16"),
    (lambda c: dict(k=c.k.to("meta")), TypeError, "k is torch.float32 on meta"),
    (lambda c: dict(k=c.k.mT.contiguous().mT), ValueError, "k's last dimension must be contiguous"),
    (lambda c: dict(prompt_k=c.prompt_k[:0]), ValueError, "with U >= 1"),
    (lambda c: dict(prompt_k=c.prompt_k[:, :1]), ValueError, r"prompt_k must be \[U, 2, P, 16\]"),
    (lambda c: dict(prompt_v=c.prompt_v[:, :, :2]), ValueError, r"prompt_v must have the shape \(1, 2, 3, 16\)"),
    (lambda c: dict(prompt=c.prompt[:1]), ValueError, r"prompt must have shape \(2,\)"),
    (lambda c: dict(length=c.length.int()), TypeError, "length must be torch.int64"),
    (lambda c: dict(prompt_length=c.prompt_length.to("meta")), ValueError, "prompt_length is on meta"),
))  # fmt: skip
def test_bad_input_is_a_clear_error(change, error, message):
    case = make([5, 2], [3])
    with pytest.raises(error, match=message):
        kernels.decode_attention(*case._replace(**change(case)))


@pytest.mark.skipif(INTERPRET, reason="the interpreter does not compile")
@pytest.mark.parametrize("dtype, size, hd", (("bf16", 2, 128), ("fp16", 2, 80), ("fp32", 4, 256)))
def test_both_kernels_compile_for_an_h200_without_one_and_fit_its_shared_memory(dtype, size, hd):
    triton = pytest.importorskip("triton")
    if "nvidia" not in triton.backends.backends:
        pytest.skip("this Triton has no NVIDIA backend")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    block = module._block(hd, size)
    types = dict(scale="fp32", k_row="i64", v_row="i64", z_ptr="*fp32", parts_ptr="*fp32")
    types |= dict.fromkeys(("prompt_ptr", "prompt_length_ptr", "length_ptr"), "*i64")
    for kernel, constants in (
        (module._split_kernel, dict(HD=hd, GROUP=16, D=triton.next_power_of_2(hd), BLOCK=block)),
        (module._combine_kernel, dict(HD=hd, SPLITS=64, COLUMNS=module.COMBINE, BLOCK=block)),
    ):
        names = kernel.arg_names
        signature = {n: types.get(n, f"*{dtype}" if n.endswith("_ptr") else "i32") for n in names}
        signature |= dict.fromkeys(constants, "constexpr")
        aligned = [n for n in names if n.endswith("_ptr") or n.startswith(("prompt_k_", "prompt_v_", "k_", "v_"))]
        attributes = {(names.index(n),): [["tt.divisibility", 16]] for n in aligned}  # as in a launch: loads become
        source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=attributes)  # wide and async
        compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=dict(num_warps=4, num_stages=3))
        assert compiled.asm["cubin"] and compiled.metadata.shared <= 227 * 1024
        assert "tf32" not in compiled.asm["ptx"]


@pytest.mark.skipif(TRITON, reason="this run tries the Triton kernels already")
def test_all_of_the_above_holds_for_the_triton_kernels_in_the_interpreter():
    pytest.importorskip("triton")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", __file__],
        env=os.environ | {"TRITON_INTERPRET": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
