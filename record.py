"""What the trainers share around a run: reading its settings, its folder runs/NAME, its table at the end."""

import importlib.metadata
import itertools
import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import NoReturn

import torch
import tyro

import data
import kernels
import model
import plot
import policy
from policy import World


def fail(message) -> NoReturn:
    """End with one line, said by the first process alone."""
    sys.exit(f"{Path(sys.argv[0]).name}: {message}" if os.environ.get("RANK", "0") == "0" else 1)


def parse(config_class: type, recipes: dict, arguments: list[str]):
    """[recipe] [--options] -> (settings, recipe's name). With --resume FOLDER: the settings of that run, and on top
    what this command line changes. Ends with one line for an unknown recipe or a folder that holds no such run."""
    given = arguments[0] if arguments and not arguments[0].startswith("-") else None
    recipe, options = given or "tiny", arguments[bool(given):]
    if recipe not in recipes:
        fail(f"unknown recipe {recipe!r}; there are {', '.join(recipes)}")
    about = dict(prog=f"{Path(sys.argv[0]).name} [recipe]", description=f"Recipes: {', '.join(recipes)}.")
    config = tyro.cli(config_class, args=options, default=recipes[recipe], **about)
    if not config.resume:
        return config, recipe
    file = Path(config.resume, "config.json")
    if not file.is_file():
        fail(f"{file} does not exist; --resume wants the folder of a run")
    try:
        saved = json.loads(file.read_text(encoding="utf-8"))
        saved, recipe = saved["config"], saved["about"]["recipe"]
    except (ValueError, KeyError, TypeError):
        fail(f"{file} is not a run's config.json; --resume wants the folder of a run")
    settings = {name: tuple(v) if isinstance(v, list) else v for name, v in saved.items()}
    if other := settings.keys() ^ {field.name for field in fields(config_class)}:
        fail(f"{config.resume} is a run of another trainer or version: they differ in the setting {min(other)}")
    config = tyro.cli(config_class, args=options, default=config_class(**settings), **about)
    if given or (config.name, config.model) != (settings["name"], settings["model"]):
        fail("--resume goes on with the recipe, the name and the model that the run has: leave them out")
    return config, recipe


def check(config, world: World) -> None:
    """Raise ValueError in one line for settings of any trainer that cannot work."""
    for name in ("steps", "rows", "group_size", "eval_every", "updates_per_rollout", "max_new_tokens",
                 "micro_batch_tokens"):
        if getattr(config, name) < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1, got {getattr(config, name)}")
    for name in ("example", "stop_tokens"):
        if not getattr(config, name):
            raise ValueError(f"--{name.replace('_', '-')} wants one name or more")
    if config.rows % (world.size * config.updates_per_rollout):
        raise ValueError(f"--rows {config.rows} does not divide by {world.size} process(es) x --updates-per-rollout "
                         f"{config.updates_per_rollout}; make it a multiple")
    if config.temperature <= 0:
        raise ValueError(f"--temperature must be positive for training, got {config.temperature}")
    if config.dtype not in ("float32", "bfloat16"):
        raise ValueError(f"--dtype must be float32 or bfloat16, got {config.dtype!r}")


def load_examples(names: tuple[str, ...], label: str = "") -> list[data.Problem]:
    """The training problems that --example names, with `label`, where given, as the answer.

    Raises ValueError for a label where the problems differ, and for problems that share an id: histories go by id."""
    problems = [problem for name in names for problem in data.load(name)]
    questions = {problem.id: problem.question for problem in problems}
    for problem in problems:
        if label and problem.question != problems[0].question:
            raise ValueError("--label is the answer of one example, and --example names several")
        if problem.question != questions[problem.id]:
            raise ValueError(f"different training examples have the id {problem.id!r}: give each line of the .jsonl "
                             "files an id of its own")
    return [replace(problem, answer=label) for problem in problems] if label else problems


def resume(config, actor: model.Decoder, optimizer: torch.optim.Optimizer, **others) -> int:
    """Load the newest checkpoint of --resume (as `policy.load_checkpoint`) -> how many steps are done; 0: a new run.

    Raises ValueError if there are no more to do."""
    if not config.resume:
        return 0
    done = policy.load_checkpoint(Path(config.resume, "checkpoints"), actor, optimizer, **others)
    if done >= config.steps:
        raise ValueError(f"{config.resume} has done its {done} steps; give more --steps to go on")
    return done


def open_run(config, recipe: str, world: World) -> Path:
    """runs/NAME with config.json (every setting, versions, commit), on every rank; or the folder of a resumed run,
    whose config.json then says the settings it goes on with.

    Without --name: the recipe's name, numbered if it is taken. Raises ValueError for a --name that is taken."""
    folder = Path(config.resume) if config.resume else Path("runs", config.name or recipe)
    if world.rank == 0 and not config.resume:
        for number in itertools.count(2):
            if config.name or not folder.exists():
                break
            folder = Path("runs", f"{recipe}-{number}")
    folder, taken = world.gather([(folder, folder.exists() and not config.resume)])[0]        # rank 0 decides
    if taken:
        raise ValueError(f"{folder} exists: choose another --name, or go on with --resume {folder}")
    if world.rank == 0:
        folder.mkdir(parents=True, exist_ok=True)
        git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
        commit = subprocess.run(git, capture_output=True, text=True).stdout.strip() if shutil.which("git") else ""
        versions = {name: importlib.metadata.version(name) for name in ("torch", "transformers", "mpmath")}
        about = dict(recipe=recipe, commit=commit, python=platform.python_version(), **versions, processes=world.size,
                     threads=torch.get_num_threads(),
                     device=torch.cuda.get_device_name() if world.device.type == "cuda" else "cpu")
        settings = asdict(replace(config, resume=""))
        (folder / "config.json").write_text(json.dumps(dict(config=settings, about=about), indent=2) + "\n")
    return folder


def append(file: Path, rows: list[dict], world: World) -> None:
    """Add one JSON object a line to `file` (rank 0); without rows there is no file."""
    if world.rank == 0 and rows:
        with file.open("a", encoding="utf-8") as out:
            out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def histories(run, batch, step: int) -> list[dict]:
    """The step's line of histories.jsonl: {id of an example: [mean reward of each group that answered it]}, in the
    order of the rows. An epoch holds every training problem once: the k-th entry of an id in a run is its accuracy in
    epoch k, but where the files repeat the id n times, n entries are one epoch. No line where there is but one id:
    nothing to rank. Every rank must call it."""
    if len({problem.id for problem in run.problems}) == 1:
        return []
    world, line = run.world, {}
    accuracies = batch.rewards.view(len(batch.examples), -1).mean(1).tolist()             # [B/G], of this rank's rows:
    rows = range(world.rank, world.size * len(accuracies), world.size)                    # it has every size-th
    mine = [(row, run.problems[i].id, x) for row, i, x in zip(rows, batch.examples, accuracies, strict=True)]
    for _, name, accuracy in sorted(world.gather(mine)):
        line.setdefault(name, []).append(accuracy)
    return [dict(step=step, accuracy=line)]


def rewind(folder: Path, step: int, world: World) -> None:
    """Drop what the files of a run say of later steps than the checkpoint: they will be run again."""
    for file in (folder / f"{name}.jsonl" for name in ("metrics", "rollouts", "histories")):
        if world.rank == 0 and file.exists():
            with file.open(encoding="utf-8") as lines:     # a line without its end is one that a kill cut off
                kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
            file.write_text("".join(kept), encoding="utf-8")


def announce(config, run, folder: Path) -> None:
    """Say what is about to run: the first prompt, its gold answer, how much is done in a step, and where (rank 0)."""
    if run.world.rank == 0:
        share = config.rows * config.group_size // run.world.size
        print(f"{run.tokenizer.decode(run.prompts[0])}\n--- gold: {run.problems[0].answer} "
              f"(example 1 of {len(run.problems)})\n{config.rows * config.group_size} samples -> "
              f"{config.updates_per_rollout} update(s); {run.world.size} process(es) on {run.world.device.type}, each "
              f"decodes {min(run.decoding, share)} of its {share} responses at a time, attention: "
              f"{kernels.attention_backend(run.world.device.type, run.dtype)}; results: {folder}")


def report_base(metrics: dict[str, float], bar) -> None:
    """Say how the base model does on the example, and whether there is anything to learn from."""
    bar.write(f"base on the example: reward {metrics['train/accuracy']:.3f}, "
              f"stopped by itself {metrics['train/finished']:.1%}")
    if metrics["train/accuracy"] in (0, 1) or metrics.get("train/groups_without_variance") == 1:
        bar.write("warning: every group has equal rewards, so there is nothing to learn from: the base must be right "
                  "sometimes, not always; try another --example, a higher --temperature or more --rows")


def highlights(metrics: dict[str, float], sets) -> dict[str, float]:
    """What a person watches while it runs, under short names; the evaluated `sets` where they are among the metrics."""
    names = {name.split("/")[1]: name for name in ("train/accuracy", "loss/entropy", "train/length")}
    names |= {name: f"eval/{name}/accuracy" for name in sets}
    return {short: metrics[name] for short, name in names.items() if name in metrics}


def summary(folder: Path, validation: str) -> str:
    """The table at the end of a run, out of its metrics.jsonl: before, and after at the best checkpoint.

    Best is the highest accuracy on the `validation` set (the last step if there is none; the later of equals)."""
    lines = plot.read(folder)
    base, trained = lines[0], [line for line in lines if line["step"] > 0]
    evaluated = [line for line in trained if "time/evaluate" in line]
    best = max(evaluated, key=lambda line: (line.get(f"eval/{validation}/accuracy", 0), line["step"]))
    rows = [("training example", trained[0]["train/accuracy"], best["train/accuracy"])]
    for name in base:
        if name.startswith("eval/") and "/accuracy" in name and name in best:     # a resumed run may have other sets
            problems, _, category = name.removeprefix("eval/").rpartition("/accuracy")
            rows.append((f"  {category.removeprefix('/')}" if category else problems, base[name], best[name]))
    width = max(len(row[0]) for row in rows)
    table = [f"{'accuracy':{width}}  before  after {best['step']} steps"]
    table += [f"{name:{width}}  {before:6.3f}  {after:6.3f}" for name, before, after in rows]
    step, evaluation = (sum(line.get(f"time/{part}", 0) for line in lines) for part in ("step", "evaluate"))
    return "\n".join([*table, f"{step:.0f} seconds of training, {evaluation:.0f} of evaluation",
                      f"best {f'on {validation}: ' if validation else ''}{folder}/checkpoints/step_{best['step']}"])


def finish(folder: Path, validation: str, world: World) -> None:
    """Print the table and draw the curves (rank 0)."""
    if world.rank == 0:
        print(summary(folder, validation))
        print(f"curves: {plot.draw([folder], folder / 'curves.png')}")
