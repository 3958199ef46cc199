"""The network: Qwen2, Qwen3 and Llama, to the last matrix product, in one decoder.

A decoder is `layers` times `x = x + attention(norm(x)); x = x + mlp(norm(x))` between an embedding and a
vocabulary head. It runs on *packed* tokens, [N] of any number of sequences one behind the other. Everything but
attention treats the tokens one by one; which token sees which is the business of the `attend` object handed to
`forward`: `kernels.PackedAttention` for training and prefill, `sample.Engine` for decoding. So one forward serves both.

Parameter names are the Hugging Face ones; transformers brings the configuration and is the oracle in the tests.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
import transformers.utils
from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

# Our folder `kernels/` hides the PyPI package of that name, which transformers imports where it finds it installed.
# Told that the package is absent, every transformers 5 leaves it alone (tests/test_model.py tries it).
for _module in (transformers.utils, transformers.utils.import_utils):
    _module.is_kernels_available = lambda *_, **__: False

from transformers import AutoConfig, AutoTokenizer, PretrainedConfig  # noqa: E402  (the lines above must come first)

FAMILIES = {"qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM", "llama": "LlamaForCausalLM"}


def rope_frequencies(config: PretrainedConfig) -> Tensor:
    """Rotation speeds [head_dim / 2] in radians per position: theta^(-2i / head_dim) (RoFormer, arXiv 2104.09864).

    Llama 3 slows the long waves by `factor` and blends in between. ValueError for a scaling not implemented."""
    rope = config.rope_parameters
    frequency = rope["rope_theta"] ** (-torch.arange(0, head_dim(config), 2).float() / head_dim(config))  # [head_dim/2]
    kind = rope.get("rope_type", "default")
    if kind == "linear":
        return frequency / rope["factor"]
    if kind == "llama3":       # s: 0 for waves longer than the original context / low_freq_factor, 1 for short ones
        turns = rope["original_max_position_embeddings"] * frequency / (2 * torch.pi)
        s = ((turns - rope["low_freq_factor"]) / (rope["high_freq_factor"] - rope["low_freq_factor"])).clamp(0, 1)
        return frequency * (s + (1 - s) / rope["factor"])
    if kind != "default":
        raise ValueError(f"rope_type {kind!r} is not implemented; model.py has default, linear and llama3")
    return frequency


def head_dim(config: PretrainedConfig) -> int:
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the pairs (x_i, x_{i + head_dim/2}) of x [N, heads, head_dim] by angles [N, 1, head_dim/2]."""
    a, b = x.float().chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1).to(x.dtype)


class SelfAttention(nn.Module):
    def __init__(self, config: PretrainedConfig, layer: int):
        super().__init__()
        qwen2, D = config.model_type == "qwen2", config.hidden_size
        self.layer, self.head_dim = layer, head_dim(config)
        q_dim, kv_dim = config.num_attention_heads * self.head_dim, config.num_key_value_heads * self.head_dim
        bias = qwen2 or config.attention_bias              # Qwen2 has it on q, k and v always, on o never
        self.q_proj = nn.Linear(D, q_dim, bias=bias)
        self.k_proj = nn.Linear(D, kv_dim, bias=bias)
        self.v_proj = nn.Linear(D, kv_dim, bias=bias)
        self.o_proj = nn.Linear(q_dim, D, bias=bias and not qwen2)
        qwen3 = config.model_type == "qwen3"
        self.q_norm = nn.RMSNorm(self.head_dim, config.rms_norm_eps) if qwen3 else nn.Identity()
        self.k_norm = nn.RMSNorm(self.head_dim, config.rms_norm_eps) if qwen3 else nn.Identity()

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, attend) -> Tensor:
        q = self.q_norm(self.q_proj(x).unflatten(-1, (-1, self.head_dim)))      # [N, heads, head_dim]
        k = self.k_norm(self.k_proj(x).unflatten(-1, (-1, self.head_dim)))      # [N, kv_heads, head_dim]
        v = self.v_proj(x).unflatten(-1, (-1, self.head_dim))                   # [N, kv_heads, head_dim]
        out = attend(self.layer, rotate(q, cos, sin), rotate(k, cos, sin), v)   # [N, heads, head_dim]
        return self.o_proj(out.flatten(1))


class MLP(nn.Module):
    def __init__(self, config: PretrainedConfig):
        super().__init__()
        bias = getattr(config, "mlp_bias", False)
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=bias)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=bias)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    recompute = False     # activation checkpointing: keep only the block's input, run it again in the backward pass

    def __init__(self, config: PretrainedConfig, layer: int):
        super().__init__()
        self.input_layernorm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = SelfAttention(config, layer)
        self.post_attention_layernorm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, attend) -> Tensor:
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(self.block, x, cos, sin, attend, use_reentrant=False)
        return self.block(x, cos, sin, attend)

    def block(self, x: Tensor, cos: Tensor, sin: Tensor, attend) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, attend)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    """A language model of one of FAMILIES, built from its Hugging Face configuration.

    Raises ValueError for another architecture or for a feature of these that is not implemented."""

    def __init__(self, config: PretrainedConfig):
        super().__init__()
        check_supported(config)
        self.config = config
        with torch.device("cpu"):     # real also when the module is built on the meta device; not a buffer: stays fp32
            self.frequency = rope_frequencies(config)                                  # [head_dim/2]
        self.model = nn.ModuleDict(dict(
            embed_tokens=nn.Embedding(config.vocab_size, config.hidden_size),
            layers=nn.ModuleList(Block(config, i) for i in range(config.num_hidden_layers)),
            norm=nn.RMSNorm(config.hidden_size, config.rms_norm_eps)))
        if not config.tie_word_embeddings:
            self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)

    def forward(self, tokens: Tensor, positions: Tensor, attend, head):
        """tokens [N] (int64) at `positions` [N] of their sequences -> head(hidden [N, D], head_weight [V, D]).

        `attend(layer, q, k, v) -> out` decides which token sees which (q, out: [N, heads, head_dim]; k, v:
        [N, kv_heads, head_dim]). `head` is a function, called in here because only during a forward does FSDP hold
        the whole weight: `logits` below, or a fused kernel that never builds the logits."""
        if self.frequency.device != tokens.device:
            self.frequency = self.frequency.to(tokens.device)
        angle = positions[:, None, None].float() * self.frequency                      # [N, 1, head_dim/2]
        cos, sin = angle.cos(), angle.sin()
        x = self.model.embed_tokens(tokens)                                            # [N, D]
        for block in self.model.layers:
            x = block(x, cos, sin, attend)
        tied = self.config.tie_word_embeddings
        return head(self.model.norm(x), self.model.embed_tokens.weight if tied else self.lm_head.weight)


def logits(hidden: Tensor, weight: Tensor) -> Tensor:
    """The plain vocabulary head: hidden [N, D], weight [V, D] -> logits [N, V]."""
    return hidden @ weight.T


def check_supported(config: PretrainedConfig) -> None:
    """Raise ValueError, naming what is missing, for a configuration that this file does not implement."""
    if config.model_type not in FAMILIES:
        raise ValueError(f"architecture {config.model_type!r} is not implemented; model.py has {', '.join(FAMILIES)}")
    if config.hidden_act != "silu":
        raise ValueError(f"hidden_act {config.hidden_act!r} is not implemented; model.py has silu")
    if getattr(config, "use_sliding_window", False):
        raise ValueError("use_sliding_window is not implemented; model.py attends to everything before")


# ---------------------------------------------------------------- weights in and out of Hugging Face folders


def find_folder(folder_or_hub_id: str) -> Path:
    """The local folder of a model: itself, or the hub's snapshot. FileNotFoundError if neither is there, or is none."""
    if Path(folder_or_hub_id).is_dir():
        if not Path(folder_or_hub_id, "config.json").is_file():
            raise FileNotFoundError(f"{folder_or_hub_id}: no config.json; --model wants a folder as save_pretrained "
                                    "writes it")
        return Path(folder_or_hub_id)
    try:
        wanted = ["*.json", "*.safetensors", "*.txt", "*.jinja"]
        return Path(snapshot_download(str(folder_or_hub_id), allow_patterns=wanted))
    except (OSError, ValueError) as error:      # not reachable or not there; not a hub id at all
        raise FileNotFoundError(f"model {str(folder_or_hub_id)!r}: no such folder, and not found on the hub "
                                f"({str(error).strip().splitlines()[0]}); give --model a folder or a hub id") from None


def load(folder_or_hub_id: str | Path, dtype: torch.dtype = torch.float32, device="cpu") -> Decoder:
    """Read a Hugging Face folder (or hub id) with safetensors weights into a Decoder of `dtype` on `device`.

    Raises FileNotFoundError for a missing folder or weights, ValueError for an unsupported architecture or for
    parameters that are missing, left over or of the wrong shape."""
    folder = find_folder(folder_or_hub_id)
    if not (files := sorted(folder.glob("*.safetensors"))):
        raise FileNotFoundError(f"{folder}: no *.safetensors; --model wants a folder as save_pretrained writes it")
    try:
        config = AutoConfig.from_pretrained(folder)
    except OSError as error:
        raise ValueError(f"{folder}/config.json cannot be read ({str(error).splitlines()[0]})") from None
    with torch.device("meta"):
        decoder = Decoder(config)
    wanted, state = dict(decoder.named_parameters()), {}
    for file in files:
        try:
            weights = safe_open(file, framework="pt")
        except SafetensorError as error:
            raise ValueError(f"{file} is not a whole safetensors file ({error})") from None
        with weights:
            for name in weights.keys():
                if name == "lm_head.weight" and decoder.config.tie_word_embeddings:
                    continue            # some folders store the tied head a second time
                if name not in wanted or wanted[name].shape != tuple(weights.get_slice(name).get_shape()):
                    raise ValueError(f"{file}: {name} does not fit this {decoder.config.model_type} config.json")
                state[name] = weights.get_tensor(name).to(device, dtype)
    if missing := wanted.keys() - state.keys():
        raise ValueError(f"{folder}: {len(missing)} parameters are missing, {min(missing)} for one")
    decoder.load_state_dict(state, assign=True)
    return decoder


def load_tokenizer(folder_or_hub_id: str | Path):
    """The transformers tokenizer of a model folder or hub id. FileNotFoundError for a folder without one."""
    folder = find_folder(folder_or_hub_id)
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        raise FileNotFoundError(f"{folder}: no tokenizer; --model wants a folder as save_pretrained writes it")
    return AutoTokenizer.from_pretrained(folder)


def save(decoder: Decoder, folder: str | Path, tokenizer) -> None:
    """Write weights, configuration and tokenizer as a folder that transformers and vLLM load.

    The dtype of the weights goes into config.json: the same weights score several points apart on MATH500 in fp32 and
    in bf16 (paper, Table 7), so a checkpoint states the one it was computed in."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    state = {name: p.detach().cpu().contiguous() for name, p in decoder.named_parameters()}
    save_file(state, Path(folder, "model.safetensors"), metadata={"format": "pt"})
    config = decoder.config.to_dict() | dict(
        dtype=str(next(decoder.parameters()).dtype).removeprefix("torch."),
        architectures=[FAMILIES[decoder.config.model_type]])
    rope = config["rope_parameters"]      # and by the names of transformers 4, which inference engines may still read
    config |= dict(torch_dtype=config["dtype"], rope_theta=rope["rope_theta"],
                   rope_scaling=None if rope.get("rope_type", "default") == "default" else rope)
    Path(folder, "config.json").write_text(json.dumps(config, indent=2, default=str) + "\n")
    tokenizer.save_pretrained(folder)
