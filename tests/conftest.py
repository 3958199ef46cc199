"""What several test files share: random models of each family as Hugging Face folders, a tokenizer, a process group."""

import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")      # small tensors: a second thread costs more than it brings
ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))                # the scripts are flat files in the repository's root

import pytest
import torch

import model      # before transformers' models: it closes the `kernels` trap
import policy
from transformers import (LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM,
                          Qwen3Config, Qwen3ForCausalLM)

SMALL = dict(vocab_size=300, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=256)
LLAMA3 = dict(rope_type="llama3", rope_theta=500_000.0, factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=64)
LINEAR = dict(rope_type="linear", rope_theta=10_000.0, factor=4.0)
FAMILIES = {    # name -> (configuration, transformers' own model)
    "qwen2-tied": (Qwen2Config(**SMALL, tie_word_embeddings=True), Qwen2ForCausalLM),
    "qwen2-untied": (Qwen2Config(**SMALL, tie_word_embeddings=False), Qwen2ForCausalLM),
    "qwen3-tied": (Qwen3Config(**SMALL, head_dim=32, tie_word_embeddings=True), Qwen3ForCausalLM),
    "llama-rope3": (LlamaConfig(**SMALL, rope_parameters=LLAMA3, tie_word_embeddings=True), LlamaForCausalLM),
    "llama-linear": (LlamaConfig(**SMALL, rope_parameters=LINEAR, attention_bias=True, mlp_bias=True,
                                 tie_word_embeddings=False), LlamaForCausalLM)}


@pytest.fixture(scope="session")
def folders(tmp_path_factory) -> dict[str, Path]:
    """A folder for each of FAMILIES, written by transformers, with weights large enough for peaked logits."""
    paths = {}
    for name, (config, cls) in FAMILIES.items():
        torch.manual_seed(0)
        reference = cls(config)
        for p in reference.parameters():
            torch.nn.init.normal_(p, mean=float(p.ndim == 1), std=0.2)
        paths[name] = tmp_path_factory.mktemp(name)
        reference.save_pretrained(paths[name])
    return paths


def oracle(folder: Path):
    """transformers' own model of a folder, in fp32."""
    from transformers import AutoModelForCausalLM
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, and Qwen's special tokens: 259 in all."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tok = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    tok.pre_tokenizer, tok.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tok.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    return PreTrainedTokenizerFast(tokenizer_object=tok, eos_token="<|endoftext|>", pad_token="<|endoftext|>")


@pytest.fixture(scope="session")
def world() -> policy.World:
    """A process group of this process alone, on the CPU also where there is a GPU."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    mesh = torch.distributed.init_device_mesh("cpu", (1,), mesh_dim_names=("shard",))
    return policy.World(0, 1, torch.device("cpu"), mesh)


def run_script(*arguments: str, processes: int = 0, cwd: Path, timeout: float = 240, **env) -> subprocess.CompletedProcess:
    """Run one of our scripts on the CPU as a user would, plainly or under torchrun with `processes`, in `cwd`."""
    script, *options = arguments
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *(torchrun if processes else []), str(ROOT / script), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=timeout,
                          env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""} | env)
