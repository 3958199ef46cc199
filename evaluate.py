"""Evaluate checkpoints on benchmarks by the paper's protocol, and print its table.

    torchrun --nproc-per-node 8 evaluate.py --model Qwen/Qwen2.5-Math-1.5B                 # the paper's six
    torchrun --nproc-per-node 8 evaluate.py --model "runs/X/checkpoints/step_*"            # a row for each checkpoint
    torchrun --nproc-per-node 8 evaluate.py deepseek-r1-distill-qwen-1.5b --model FOLDER   # that model's protocol
    python evaluate.py --model tiny-base --benchmarks tiny-heldout --max-new-tokens 160

AIME and AMC: the average of 8 samples at temperature 0.6; the others: one greedy response. Correct is the answer in the
box or, without one, in a final "the answer is ..." (verify.py); in the trainers only the box counts. Each response goes
to evaluations/MODEL/BENCHMARK/rank*.jsonl as it ends; the same command resumes. All figures: responses.py.
"""

import glob
import hashlib
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import torch
import torch.distributed as dist
import tyro

import data
import model
import policy
import responses
from model import Decoder
from policy import World
from record import fail
from responses import evaluate

PAPER = {"math500": "MATH500", "aime24": "AIME24", "amc23": "AMC23", "minerva": "Minerva",
         "olympiadbench": "Olympiad", "aime25": "AIME25"}     # the columns of its table
CONTESTS = ("aime24", "amc23", "aime25")                      # 30 or 40 problems: sampled several times
FAMILIES = (    # a token that only this family has, its prompt, and the tokens that end a response
    ("<|im_start|>", "qwen2.5-math", ("<|im_end|>", "<|endoftext|>")),
    ("<|start_header_id|>", "chat", ("<|eot_id|>", "<|end_of_text|>")),
    ("<｜User｜>", "chat", ("<｜end▁of▁sentence｜>",)))


def source_and_temperature(name: str) -> tuple[str, float]:
    """"math500.jsonl@0.6" -> ("math500.jsonl", 0.6); without a number behind an @: the whole name, greedy."""
    source, _, temperature = name.rpartition("@")
    try:
        temperature = float(temperature)
    except ValueError:
        return name, 0.0
    if not 0 <= temperature < float("inf"):
        raise ValueError(f"{name}: the temperature behind the @ must be a number, 0 or more")
    return source, temperature


def evaluate_sets(decoder: Decoder, tokenizer, sets: dict[str, list[data.Problem]], world: World, **settings) -> dict:
    """`evaluate` on each set, greedily or at the temperature behind the @ of its name -> {eval/<set>/<metric>: value},
    and the seconds as time/evaluate. `settings` are those of `evaluate`."""
    clock, results = time.perf_counter(), {}
    for name, problems in sets.items():
        scores = evaluate(decoder, tokenizer, problems, world, temperature=source_and_temperature(name)[1], **settings)
        results |= {f"eval/{name}/{metric}": value for metric, value in scores.items()}
    return results | {"time/evaluate": time.perf_counter() - clock}


# ---------------------------------------------------------------- command line


@dataclass(frozen=True)
class Config:
    """The paper's protocol; the recipe deepseek-r1-distill-qwen-1.5b picks other defaults."""
    model: tuple[str, ...] = ()                 # Hugging Face folders or hub ids; "runs/X/checkpoints/step_*" works
    benchmarks: tuple[str, ...] = ()            # names in data.py; empty: those of --data, or else the paper's six
    data: Annotated[tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction] = ()    # NAME=FILE instead of the hub
    out: str = "evaluations"                    # folder of responses and results
    template: str = ""                          # prompt; empty: the family's in FAMILIES, or else the chat template
    stop_tokens: tuple[str, ...] = ()           # end of a response; empty: the family's, or else the end-of-text token
    max_new_tokens: int = 3072
    samples: int = 1                            # responses to a problem
    temperature: float = 0.0                    # 0: greedy
    contest_samples: int = 8                    # the same for AIME 2024, AMC 2023 and AIME 2025
    contest_temperature: float = 0.6
    top_p: float = 1.0                          # 1: off
    seed: int = 0
    dtype: str = ""                             # float32 or bfloat16; empty: bfloat16 on a GPU, float32 elsewhere
    cache_gib: float = 0.0                      # GiB for keys, values and logits; 0: by what the device has free


RECIPES = {"paper": Config(), "deepseek-r1-distill-qwen-1.5b": Config(      # at 8k; the paper also has 32k
    samples=16, temperature=0.6, contest_samples=64, contest_temperature=0.6, top_p=0.95, max_new_tokens=8192)}


def check(config: Config) -> None:
    """Raise ValueError for settings that cannot work."""
    for name in ("samples", "contest_samples", "max_new_tokens"):
        if getattr(config, name) < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1, got {getattr(config, name)}")
    for kind in ("", "contest_"):
        samples, temperature = getattr(config, f"{kind}samples"), getattr(config, f"{kind}temperature")
        if temperature < 0 or samples > 1 and temperature == 0:
            raise ValueError(f"{samples} samples at temperature {temperature}: only a single one can be greedy (0)")
    if not 0 < config.top_p <= 1:
        raise ValueError(f"--top-p must be above 0 and at most 1, got {config.top_p}")
    if config.dtype not in ("", "float32", "bfloat16"):
        raise ValueError(f"--dtype must be float32 or bfloat16, got {config.dtype!r}")


def checkpoints(patterns: tuple[str, ...]) -> dict[str, str]:
    """--model -> {name: folder or hub id}, by step, no .partial ones. X/checkpoints/step_20 is called X/step_20."""
    found = {}
    for pattern in patterns:
        there = [source for source in glob.glob(pattern) if not source.endswith(".partial")]
        sources = there if glob.has_magic(pattern) else [pattern]
        if not sources:
            raise FileNotFoundError(f"--model {pattern}: nothing matches")
        for source in sources:
            path = Path(source).resolve()
            name = f"{path.parts[-3]}/{path.name}" if path.parent.name == "checkpoints" else path.name
            if found.setdefault(name, source) != source:
                raise ValueError(f"--model: {found[name]} and {source} are both called {name}: evaluate them apart")
    if not found:
        raise ValueError("--model is missing: give Hugging Face folders, hub ids or a pattern in quotes")
    step = {name: name.rpartition("step_")[2] for name in found}
    return {name: found[name] for name in sorted(found, key=lambda s: int(step[s]) if step[s].isdecimal() else -1)}


def load_benchmarks(config: Config) -> dict[str, list[data.Problem]]:
    """{name: problems} of --benchmarks, from the hub or the files of --data."""
    if bad := [item for item in sum(config.data, ()) if "=" not in item]:
        raise ValueError(f"--data {bad[0]}: give NAME=FILE, for example --data math500=test.jsonl")
    files = dict(item.split("=", 1) for item in sum(config.data, ()))
    names = config.benchmarks or tuple(files) or tuple(PAPER)
    if unused := files.keys() - set(names):
        raise ValueError(f"--data names {min(unused)}, which --benchmarks does not")
    return {name: data.load(files.get(name, name)) for name in names}


def family(tokenizer) -> tuple[str, tuple[str, ...]]:
    """The template and the stop tokens of a model, known by its vocabulary (FAMILIES)."""
    vocabulary = tokenizer.get_vocab()
    for token, template, stop_tokens in FAMILIES:
        if token in vocabulary:
            return template, stop_tokens
    return "chat" if tokenizer.chat_template else "plain", (tokenizer.eos_token,)


def evaluate_checkpoint(config: Config, name: str, source: str, sets: dict, world: World) -> dict[str, dict]:
    """{benchmark: metrics} of one checkpoint; its responses and results lie in --out/NAME."""
    tokenizer, folder = model.load_tokenizer(source), Path(config.out, name)
    dtype = config.dtype or ("bfloat16" if world.device.type == "cuda" else "float32")
    decoder = model.load(source, getattr(torch, dtype), world.device).requires_grad_(False)
    template, stop_tokens = family(tokenizer)
    template, stop_tokens = config.template or template, config.stop_tokens or stop_tokens
    stop_ids, weights, results = data.stop_ids(tokenizer, stop_tokens), hashlib.sha256(), {}
    for file in sorted(model.find_folder(source).glob("*.safetensors")) if world.rank == 0 else ():
        with file.open("rb") as content:
            weights.update(hashlib.file_digest(content, "sha256").digest())
    for benchmark, problems in sets.items():
        contest = benchmark in CONTESTS
        settings = dict(template=template, max_new_tokens=config.max_new_tokens, top_p=config.top_p, seed=config.seed,
                        n=config.contest_samples if contest else config.samples,
                        temperature=config.contest_temperature if contest else config.temperature)
        about = dict(stop_tokens=stop_tokens, dtype=dtype, weights=weights.hexdigest(), problems=hashlib.sha256(
            json.dumps([(p.question, p.answer) for p in problems]).encode()).hexdigest())
        responses.open_folder(folder / benchmark, settings | about, world)
        results[benchmark] = evaluate(decoder, tokenizer, problems, world, stop_ids=stop_ids, folder=folder / benchmark,
                                      cache_gib=config.cache_gib, require_box=False, title=f"{name} {benchmark}",
                                      **settings) | dict(problems=len(problems), n=settings["n"])
    if world.rank == 0:
        average = dict(zip(("accuracy", "standard_error"), responses.average(results)))
        about = dict(model=source, settings=asdict(config), average=average, benchmarks=results)
        (folder / "results.json").write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        (folder / "row.md").write_text(responses.table({name: results}, PAPER), encoding="utf-8")
        print(f"{name}: prompt {template}, a response ends at {' '.join(stop_tokens)}; results: {folder}\n\n"
              f"{responses.details(results, PAPER)}")
    return results


def main(arguments: list[str]) -> None:
    """[recipe] [--options]: evaluate every checkpoint and print the table."""
    recipe = arguments.pop(0) if arguments and not arguments[0].startswith("-") else "paper"
    if recipe not in RECIPES:
        fail(f"unknown recipe {recipe!r}; there are {', '.join(RECIPES)}")
    config = tyro.cli(Config, args=arguments, default=RECIPES[recipe], prog="evaluate.py [recipe]",
                      description=f"Recipes: {', '.join(RECIPES)}.")
    world = policy.start()
    try:
        check(config)
        sources, sets, rows = checkpoints(config.model), load_benchmarks(config), {}
        for name, source in sources.items():
            rows[name] = evaluate_checkpoint(config, name, source, sets, world)
    except (ValueError, FileNotFoundError) as error:
        fail(error)
    if world.rank == 0:
        print(responses.table(rows, PAPER))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1:])
