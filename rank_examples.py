"""Which ONE example to train on? One whose accuracy moves most while a run trains on all of them.

Historical variance (arXiv 2504.20571, section 2): train on the whole pool for E epochs, keep the accuracy of every
example in every epoch, s_1 to s_E, and rank by

    score = sqrt(mean over e of (s_e - mean(s))^2)         the population standard deviation (ddof=0), as numpy.std

An example that is always solved, or never, scores 0: its groups have no variance, so it moves nothing.

    torchrun train_grpo.py --example pool.jsonl --name pool                                  # writes the histories
    python rank_examples.py --histories runs/pool/histories.jsonl --data pool.jsonl --out best.jsonl
    torchrun train_grpo.py --example best.jsonl
"""

import json
import math
import statistics
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import tyro

import data


def rank(histories: dict[str, list[float]]) -> list[tuple[str, float]]:
    """{id: accuracy in each epoch} -> [(id, score)], best first. Histories may differ in length.

    Equal scores go by id: numbers first, by value, then other ids as text. The paper leaves ties as they stand in its
    JSON file, an order that means nothing (of its pi14 and pi15, ids 291 and 100, which tie, 100 comes first here).
    ValueError for a history that is empty or not of numbers."""
    scores = {}
    for name, history in histories.items():
        if not history or not all(isinstance(x, int | float) and math.isfinite(x) for x in history):
            raise ValueError(f"the history of example {name!r} must be one number or more, got {history!r}")
        scores[name] = statistics.pstdev(history)      # exact sums: the same entries tie in whatever order

    def place(name: str):
        return -scores[name], not name.isdecimal(), int(name) if name.isdecimal() else 0, name

    return [(name, scores[name]) for name in sorted(scores, key=place)]


def read_histories(file: Path) -> dict[str, list[float]]:
    """Out of a run's histories.jsonl (one object a step), or the paper's .json ({id: [accuracy, ...]}).

    FileNotFoundError or ValueError in one line that names the file."""
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; a run on several examples writes runs/NAME/histories.jsonl")
    text, histories = file.read_text(encoding="utf-8"), {}
    try:
        steps = [json.loads(line)["accuracy"] for line in text.split("\n") if line] if file.suffix == ".jsonl" else [
            json.loads(text)]
        for name, entries in (item for step in steps for item in step.items()):
            histories[name] = histories.get(name, []) + entries
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise ValueError(f'{file}: must be {{id: [accuracy, ...]}}, or .jsonl with a {{"step": 1, "accuracy": {{id: '
                         "[accuracy, ...]}} a step") from None
    if not histories:
        raise ValueError(f"{file}: holds no histories")
    return histories


@dataclass(frozen=True)
class Config:
    """Rank training examples by how much their accuracy moved, and write the chosen ones for --example."""
    histories: Path            # runs/NAME/histories.jsonl, or the paper's .json
    data: str                  # the training problems: what --example named in that run
    top: int = 1               # how many examples to choose
    worst: bool = False        # choose, and show, from the end of the ranking instead
    out: str = ""              # .jsonl that gets the chosen examples; empty: only the table
    show: int = 20             # lines of the table


def main(config: Config) -> None:
    """Print the table and write the chosen examples. ValueError or FileNotFoundError in one line for bad input."""
    histories = read_histories(config.histories)
    problems = {problem.id: problem for problem in data.load(config.data)}
    if unknown := histories.keys() - problems.keys():
        raise ValueError(f"{config.histories} has an example {min(unknown)!r}, but {config.data} has none: --data must "
                         "name what the run was trained on")
    if not 1 <= config.top <= len(histories):
        raise ValueError(f"--top must be 1 to {len(histories)}, the number of examples, got {config.top}")
    if config.out and not config.out.endswith(".jsonl"):
        raise ValueError(f"--out must end in .jsonl, got {config.out!r}")
    ranking = list(enumerate(rank(histories), 1))
    if config.worst:
        ranking.reverse()
    width = max(map(len, histories))
    print(f" rank  {'id':{width}}  std     mean    epochs  {'label':12}  question")
    for place, (name, score) in ranking[:config.show]:
        history, problem = histories[name], problems[name]
        print(f"{place:5}  {name:{width}}  {score:.4f}  {statistics.fmean(history):.4f}  {len(history):6}  "
              f"{problem.answer:12}  {' '.join(problem.question.split())[:60]}")
    if config.out:
        chosen = [problems[name] for _, (name, _) in ranking[:config.top]]
        lines = [json.dumps(asdict(problem), ensure_ascii=False) + "\n" for problem in chosen]
        Path(config.out).write_text("".join(lines), encoding="utf-8")
        print(f"{config.out}: {', '.join(problem.id for problem in chosen)} of {len(ranking)} ranked examples")


if __name__ == "__main__":
    try:
        main(tyro.cli(Config))
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"rank_examples.py: {error}")
