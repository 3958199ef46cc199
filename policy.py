"""The policy as a trained object: shard it (FSDP2), pack sequences, score tokens, save and resume.

One process is a mesh of size 1: the laptop and the node run the same lines.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, MixedPrecisionPolicy, OffloadPolicy, fully_shard

import model
from kernels import PackedAttention, linear_logprob_entropy
from model import Decoder

# ---------------------------------------------------------------- processes


@dataclass(frozen=True)
class World:
    """This process among all: `rank` of `size`, its `device`, and the mesh that FSDP shards over."""
    rank: int
    size: int
    device: torch.device
    mesh: DeviceMesh

    def sum(self, *values: float) -> list[float]:
        """Each value summed over all ranks, in float64. Every rank must call it."""
        total = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(total)
        return total.tolist()

    def gather(self, values: list) -> list:
        """The ranks' lists, one behind the other in rank order, on every rank."""
        parts = [None] * self.size
        dist.all_gather_object(parts, values)
        return [value for part in parts for value in part]


def start() -> World:
    """Join torchrun's process group; without torchrun, form one of a single process."""
    size, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    local_rank, local_size = int(os.environ.get("LOCAL_RANK", 0)), int(os.environ.get("LOCAL_WORLD_SIZE", size))
    kind = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(kind, local_rank) if kind == "cuda" else torch.device("cpu")
    if kind == "cuda":
        torch.cuda.set_device(device)
    store = None if "RANK" in os.environ else dist.HashStore()
    # gloo beside nccl: the sums and objects above travel over the CPU
    dist.init_process_group("cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo", store=store, rank=rank, world_size=size)
    nodes = size // local_size
    # Several nodes: replicate across them, shard inside (only gradients cross the slow wire)
    mesh = (init_device_mesh(kind, (nodes, local_size), mesh_dim_names=("replicate", "shard")) if nodes > 1
            else init_device_mesh(kind, (size,), mesh_dim_names=("shard",)))
    return World(rank, size, device, mesh)


# ---------------------------------------------------------------- sharding


def shard(decoder: Decoder, mesh: DeviceMesh, dtype: torch.dtype = torch.float32, *,
          recompute: bool = False, cpu_offload: bool = False) -> Decoder:
    """Shard in place over `mesh`, block by block; weights are gathered just in time and computed in `dtype`.

    The parameters stay what they were loaded as: fp32 masters for training, because at lr 1e-6 a bf16 weight, which
    has 8 significant bits, does not move (contract 6). Gradients are reduced in fp32. `recompute`: activation
    checkpointing. `cpu_offload`: parameters, gradients and optimizer state live in CPU memory."""
    options = dict(
        mesh=mesh,
        # cast_forward_inputs off: the rotation angles stay fp32
        mp_policy=MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32, cast_forward_inputs=False),
        offload_policy=CPUOffloadPolicy(pin_memory=mesh.device_type == "cuda") if cpu_offload else OffloadPolicy())
    for block in decoder.model.layers:
        block.recompute = recompute
        fully_shard(block, **options)
    return fully_shard(decoder, **options)


def gathered(decoder: Decoder, device: torch.device, dtype: torch.dtype) -> Decoder:
    """A plain decoder with the whole weights in `dtype`, for generation or saving; drop it to release the memory.

    Every rank must call it. On one process in fp32 the tensors may be the masters themselves (torch 2.13)."""
    decoder.reshard()            # after a pass without backward the root still holds its gathered copy
    with torch.device("meta"):
        plain = Decoder(decoder.config)
    # Cast before gathering: half the bytes on the wire in bf16
    whole = {name: p.detach().to(device, dtype).full_tensor() for name, p in decoder.named_parameters()}
    plain.load_state_dict(whole, assign=True)
    return plain.requires_grad_(False)


# ---------------------------------------------------------------- packing and scoring


@dataclass(frozen=True)
class Packed:
    """Responses behind the prompts that they share, as one row of N tokens; M response tokens are predicted.

    tokens, positions: [N]. predict: [M], where in N the hidden state stands that predicts each response token (for
    the first one, the prompt's last token). targets: [M], the response tokens, sequence by sequence. The stop token
    is among them: stopping is learned (contract 1)."""
    tokens: Tensor
    positions: Tensor
    attend: PackedAttention
    predict: Tensor
    targets: Tensor


def pack(prompts: list[Tensor], responses: list[Tensor], device: torch.device, dtype=torch.float32) -> Packed:
    """prompts[i] [P_i] and responses[i] [T_i >= 1] -> Packed, to be computed in `dtype`; an equal prompt runs once.

    A response's last token predicts nothing, so it is a target but not an input."""
    tokens, positions, sequences, predict, placed, N = [], [], [], [], {}, 0
    for prompt, response in zip(prompts, responses, strict=True):
        key, P, T = tuple(prompt.tolist()), len(prompt), len(response)
        if key not in placed:
            placed[key] = N
            tokens.append(prompt)
            positions.append(torch.arange(P))
            sequences.append((N, P, 0, 0))
            N += P
        predict.append(torch.cat((torch.tensor([placed[key] + P - 1]), torch.arange(N, N + T - 1))))
        if T > 1:
            tokens.append(response[:-1])
            positions.append(torch.arange(P, P + T - 1))
            sequences.append((N, T - 1, placed[key], P))
            N += T - 1
    attend = PackedAttention(sequences, device, dtype)
    tokens, positions, predict, targets = (torch.cat(x).to(device) for x in (tokens, positions, predict, responses))
    return Packed(tokens, positions, attend, predict, targets)


def micro_batches(lengths: list[int], max_tokens: int, world: World) -> list[list[int]]:
    """Split responses of `lengths` tokens into lists of indices of at most `max_tokens` tokens (or one sequence) each.

    Sorted by length, so that padded attention wastes little. Every rank gets the same number of lists, because each
    forward and backward pass is a collective under FSDP. Every rank must hold the same number of sequences."""
    parts, room = [], 0
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if lengths[i] > room or not parts:
            parts.append([])
            room = max_tokens
        parts[-1].append(i)
        room -= lengths[i]
    most = max(world.gather([len(parts)]))
    while len(parts) < most:                       # halve the longest list until this rank has as many as the others
        longest = max(parts, key=len)
        half = len(longest) // 2
        parts.append(longest[half:])
        del longest[half:]
    return parts


def token_logprobs(decoder: Decoder, packed: Packed, temperature: float) -> tuple[Tensor, Tensor]:
    """Log-probability and entropy [M] (fp32, nats) of each response token under softmax(logits / temperature).

    The one place where training divides by the temperature: what is sampled is what is scored (contract 2)."""
    def head(hidden: Tensor, weight: Tensor):                               # [N, D], [V, D]
        hidden = hidden.index_select(0, packed.predict)                     # [M, D]
        return linear_logprob_entropy(hidden, weight, packed.targets, temperature)
    return decoder(packed.tokens, packed.positions, packed.attend, head)


def token_values(critic: Decoder, packed: Packed) -> Tensor:
    """Value [M] (fp32) of the state in which each response token is drawn, by a decoder whose head has one row (PPO).

    It stands where the token is predicted, so it has seen the prompt and the response up to the token before it."""
    def head(hidden: Tensor, weight: Tensor):                               # [N, D], [1, D]
        return hidden.index_select(0, packed.predict).float() @ weight[0].float()                # [M]
    return critic(packed.tokens, packed.positions, packed.attend, head)


# ---------------------------------------------------------------- checkpoints


def save_checkpoint(folder: Path, decoder: Decoder, optimizer, tokenizer, world: World, dtype: torch.dtype,
                    **others: tuple) -> None:
    """Write `folder`: a Hugging Face folder in the computing `dtype`, and `trainer/`, the sharded fp32 masters and
    optimizer state for resuming. It appears whole or not at all; an older checkpoint beside it loses its `trainer/`.

    `others`: name=(module, optimizer) of what is trained beside the policy (PPO's critic); only in `trainer/`."""
    partial = folder.with_name(folder.name + ".partial")
    plain = gathered(decoder, world.device, dtype)
    if world.rank == 0:
        shutil.rmtree(partial, ignore_errors=True)
        model.save(plain, partial, tokenizer)
    del plain
    dist.barrier()
    dcp.save(trainer_state(decoder, optimizer, others), checkpoint_id=partial / "trainer")
    dist.barrier()
    if world.rank == 0:
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
        for other in folder.parent.glob("step_*/trainer"):
            if other.parent != folder:
                shutil.rmtree(other)
    dist.barrier()


def load_checkpoint(folder: Path, decoder: Decoder, optimizer, **others: tuple) -> int:
    """Put the newest checkpoint `folder`/step_N into a sharded decoder and its optimizer, and into `others`, on any
    number of ranks -> N. The optimizers keep the learning rate and weight decay they were made with.

    Raises FileNotFoundError if there is none."""
    steps = [int(path.parent.name.removeprefix("step_")) for path in folder.glob("step_*/trainer")
             if path.parent.suffix != ".partial"]
    if not steps:
        raise FileNotFoundError(f"{folder}: no checkpoint to resume from; start again under another --name")
    state = trainer_state(decoder, optimizer, others)
    dcp.load(state, checkpoint_id=folder / f"step_{max(steps)}" / "trainer")
    for name, (module, its_optimizer) in {"model": (decoder, optimizer), **others}.items():
        chosen = [(group["lr"], group["weight_decay"]) for group in its_optimizer.param_groups]
        moments = state["optimizer" if name == "model" else f"{name}_optimizer"]
        set_state_dict(module, its_optimizer, model_state_dict=state[name], optim_state_dict=moments)
        for group, (lr, weight_decay) in zip(its_optimizer.param_groups, chosen, strict=True):
            group.update(lr=lr, weight_decay=weight_decay)
    return max(steps)


def trainer_state(decoder: Decoder, optimizer, others: dict[str, tuple]) -> dict:
    """What `trainer/` holds: sharded weights and optimizer state of the policy and of each of the `others`."""
    state = dict(zip(("model", "optimizer"), get_state_dict(decoder, optimizer)))
    for name, (module, its_optimizer) in others.items():
        state |= zip((name, f"{name}_optimizer"), get_state_dict(module, its_optimizer))
    return state
