"""Curves of one run, or of several runs on top of each other, as a PNG.

    python plot.py runs/tiny runs/tiny-2 --out curves.png
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import tyro

matplotlib.use("Agg")              # no window needed
import matplotlib.pyplot as plt    # noqa: E402

PANELS = {   # title: (what the metric's name starts with, what it ends with)
    "accuracy on the training example": ("train/accuracy", ""),
    "accuracy on other problems": ("eval/", "/accuracy"),
    "response length (tokens)": ("train/length", ""),
    "entropy (nats a token)": ("loss/entropy", ""),
    "KL to the base model (nats a token)": ("loss/kl", ""),
    "share with an answer in a box": ("train/boxed", "")}


def read(folder: Path) -> list[dict]:
    """The lines of a run's metrics.jsonl. FileNotFoundError without such a file, ValueError if it has no line yet."""
    file = Path(folder, "metrics.jsonl")
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist: give the folder of a run, such as runs/tiny")
    with file.open(encoding="utf-8") as lines:         # a line without its end is still being written
        metrics = [json.loads(line) for line in lines if line.endswith("\n")]
    if not metrics:
        raise ValueError(f"{file} has no line yet: the run writes the first one after it has evaluated the base model")
    return metrics


def draw(folders: list[Path], out: Path) -> Path:
    """Draw PANELS over the steps of each run's metrics.jsonl into the picture `out`; returns `out`.

    Of several runs, each has a colour, and each evaluated set a kind of line. ValueError for another suffix."""
    if out.suffix not in (".png", ".pdf", ".svg"):
        raise ValueError(f"--out must end in .png, .pdf or .svg, got {out}")
    figure, axes = plt.subplots(2, 3, figsize=(15, 7), layout="constrained")
    several = len(folders) > 1
    for run, folder in enumerate(folders):
        lines = read(folder)
        names = {name: None for line in lines for name in line}
        for axis, (title, (start, end)) in zip(axes.flat, PANELS.items(), strict=True):
            axis.set(title=title, xlabel="step")
            for i, name in enumerate(n for n in names if n.startswith(start) and n.endswith(end)):
                points = [(line["step"], line[name]) for line in lines if name in line]
                look = dict(color=f"C{run}", linestyle=("-", "--", ":", "-.")[i % 4]) if several else {}
                problems = name[len(start):-len(end)] if end and run == 0 else None
                axis.plot(*zip(*points), marker="o" if end else None, **look,
                          label=problems if end else Path(folder).name if several else None)
    for axis in axes.flat:
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[1]:
            axis.legend(fontsize="small")
    for axis in axes.flat[:2]:
        axis.set_ylim(-0.02, 1.02)
    figure.savefig(out, dpi=100)
    plt.close(figure)
    return out


@dataclass(frozen=True)
class Config:
    runs: tyro.conf.Positional[tuple[Path, ...]]     # folders of runs
    out: Path = Path("curves.png")      # where the picture goes


if __name__ == "__main__":
    arguments = tyro.cli(Config)
    if not arguments.runs:
        sys.exit("plot.py: give the folders of one or more runs, such as runs/tiny")
    try:
        print(draw(list(arguments.runs), arguments.out))
    except (OSError, ValueError) as error:
        sys.exit(f"plot.py: {error}")
