"""model.py: our decoder is the Hugging Face one, token for token, and packing changes nothing."""

import json
import subprocess
import sys

import pytest
import torch
from conftest import FAMILIES, ROOT, oracle
from safetensors.torch import load_file, save_file

import kernels
import model

CPU = torch.device("cpu")


def run(decoder, tokens, sequences=None, positions=None):
    sequences = sequences or [(0, len(tokens), 0, 0)]
    positions = torch.arange(len(tokens)) if positions is None else positions
    return decoder(tokens, positions, kernels.PackedAttention(sequences, CPU), model.logits)


@pytest.mark.parametrize("name", FAMILIES)
def test_logits_equal_transformers_to_1e4_for_every_family(folders, name):
    tokens = torch.randint(300, (200,), generator=torch.Generator().manual_seed(1))   # past llama3's original 64
    expected = oracle(folders[name])(tokens[None]).logits[0]
    ours = run(model.load(folders[name]), tokens)
    assert expected.std() > 1            # peaked enough to mean something
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", FAMILIES)
def test_responses_packed_behind_one_prompt_equal_each_sequence_alone(folders, name):
    prompt, a, b = torch.randint(300, (40,)).split((10, 13, 17))
    packed = torch.cat((prompt, a, b))
    positions = torch.cat((torch.arange(10), torch.arange(10, 23), torch.arange(10, 27)))
    decoder = model.load(folders[name])
    out = run(decoder, packed, [(0, 10, 0, 0), (10, 13, 0, 10), (23, 17, 0, 10)], positions)
    reference = oracle(folders[name])
    for response, rows in ((a, slice(10, 23)), (b, slice(23, 40))):
        alone = reference(torch.cat((prompt, response))[None]).logits[0]
        torch.testing.assert_close(out[rows], alone[10:], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(out[:10], alone[:10], atol=1e-4, rtol=1e-4)


def test_gradient_through_a_shared_prompt_is_the_sum_over_unshared_copies(folders):
    prompt, a, b = torch.randint(300, (24,)).split((6, 8, 10))
    shared, alone = model.load(folders["qwen2-tied"]), oracle(folders["qwen2-tied"])
    positions = torch.cat((torch.arange(6), torch.arange(6, 14), torch.arange(6, 16)))
    out = run(shared, torch.cat((prompt, a, b)), [(0, 6, 0, 0), (6, 8, 0, 6), (14, 10, 0, 6)], positions)
    out[6:].logsumexp(-1).sum().backward()
    for response in (a, b):
        alone(torch.cat((prompt, response))[None]).logits[0, 6:].logsumexp(-1).sum().backward()
    expected = dict(alone.named_parameters())
    for name, p in shared.named_parameters():
        torch.testing.assert_close(p.grad, expected[name].grad, atol=1e-3, rtol=1e-3, msg=lambda m: f"{name}: {m}")


def test_recomputing_activations_changes_no_gradient(folders):
    tokens, gradients = torch.randint(300, (20,)), []
    for recompute in (False, True):
        decoder = model.load(folders["qwen3-tied"])
        for block in decoder.model.layers:
            block.recompute = recompute
        run(decoder, tokens).logsumexp(-1).sum().backward()
        gradients.append([p.grad for p in decoder.parameters()])
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_saved_folder_loads_in_transformers_with_the_same_weights_and_names_its_dtype(folders, tokenizer, tmp_path,
                                                                                       name, dtype):
    decoder = model.load(folders[name], dtype=dtype)
    model.save(decoder, tmp_path, tokenizer)
    from transformers import AutoModelForCausalLM, AutoTokenizer
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert next(theirs.parameters()).dtype == dtype       # as config.json says, without being told
    state = theirs.state_dict()
    for parameter, value in decoder.named_parameters():
        assert torch.equal(value, state[parameter])
    assert AutoTokenizer.from_pretrained(tmp_path)("a b")["input_ids"] == tokenizer("a b")["input_ids"]


def test_weights_in_several_files_and_a_tied_head_stored_twice_load(folders, tmp_path):
    state = load_file(folders["qwen2-tied"] / "model.safetensors")
    state["lm_head.weight"] = state["model.embed_tokens.weight"].clone()
    names = sorted(state)
    save_file({n: state[n] for n in names[:9]}, tmp_path / "model-00001-of-00002.safetensors")
    save_file({n: state[n] for n in names[9:]}, tmp_path / "model-00002-of-00002.safetensors")
    (tmp_path / "config.json").write_text((folders["qwen2-tied"] / "config.json").read_text())
    for name, p in model.load(tmp_path).named_parameters():
        assert torch.equal(p, state[name])


def edited(folder, tmp_path, **changes):
    """A copy of `folder` whose config.json has `changes`."""
    config = json.loads((folder / "config.json").read_text()) | changes
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    return tmp_path


@pytest.mark.parametrize("changes, message", [
    (dict(model_type="gpt2"), "architecture 'gpt2' is not implemented; model.py has qwen2, qwen3, llama"),
    (dict(hidden_act="gelu"), "hidden_act 'gelu' is not implemented"),
    (dict(use_sliding_window=True), "use_sliding_window is not implemented"),
    (dict(rope_parameters=dict(rope_type="yarn", rope_theta=1e4, factor=2.0)), "rope_type 'yarn' is not implemented"),
    (dict(num_hidden_layers=3, layer_types=["full_attention"] * 3), "12 parameters are missing, model.layers.2"),
    (dict(num_hidden_layers=1, layer_types=["full_attention"]), "model.layers.1.input_layernorm.weight does not fit"),
    (dict(intermediate_size=97), "does not fit this qwen2 config.json")])
def test_what_is_not_implemented_or_does_not_fit_is_named(folders, tmp_path, changes, message):
    with pytest.raises(ValueError) as error:
        model.load(edited(folders["qwen2-tied"], tmp_path, **changes))
    assert message in str(error.value)


def test_a_missing_folder_config_or_weights_file_is_named(folders, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        model.load(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="no config.json"):
        model.load(tmp_path)
    (tmp_path / "config.json").write_text((folders["qwen2-tied"] / "config.json").read_text())
    with pytest.raises(FileNotFoundError, match="no \\*.safetensors"):
        model.load(tmp_path)
    with pytest.raises(FileNotFoundError, match="no tokenizer"):
        model.load_tokenizer(tmp_path)
    whole = (folders["qwen2-tied"] / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[:len(whole) // 2])
    with pytest.raises(ValueError, match="is not a whole safetensors file"):
        model.load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="config.json cannot be read"):
        model.load(tmp_path)


@pytest.mark.parametrize("first", ["import train_grpo", "import tiny"])
def test_our_scripts_work_where_the_package_named_kernels_is_installed(tmp_path, first):
    """Our folder kernels/ hides PyPI's kernels from transformers, which imports names from it where its metadata says
    that it is there. A stand-in distribution of an accepted version must not break loading and running a model."""
    from transformers.utils import import_utils
    version = getattr(import_utils, "KERNELS_MIN_VERSION", "0.9.0")
    info = tmp_path / f"kernels-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: kernels\nVersion: {version}\n")
    (info / "RECORD").write_text("kernels/__init__.py,,\n")
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "__init__.py").write_text("")
    code = f"""
import sys; sys.path[:0] = [{str(ROOT)!r}]; sys.path.append({str(tmp_path)!r})
import importlib.metadata
assert importlib.metadata.version("kernels") == {version!r}
import torch
{first}
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM
small = Qwen2Config(vocab_size=9, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2,
                    num_key_value_heads=1)
Qwen2ForCausalLM(small).generate(torch.tensor([[1]]), max_new_tokens=2, do_sample=False)
import kernels
assert kernels.__file__.startswith({str(ROOT)!r}), kernels.__file__
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
