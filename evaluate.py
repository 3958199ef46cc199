"""Score a model on problems: accuracy in all and by category, share boxed, share truncated, mean length."""

import json
from collections import defaultdict
from pathlib import Path

import data
import verify
from model import Decoder
from policy import World
from sample import generate


def evaluate(decoder: Decoder, tokenizer, problems: list[data.Problem], world: World, *, template: str,
             stop_ids: list[int], max_new_tokens: int, temperature: float = 0.0, seed: int = 0,
             max_rows: int = 256) -> dict[str, float]:
    """One response to each problem (temperature 0: greedy), shared out over the ranks; every rank gets the result.

    Returns `accuracy` (needs the box), `boxed`, `finished` (shares of 1), `length` (mean tokens), and
    `accuracy/<category>` where the problems have categories. The result does not depend on the number of ranks."""
    first, last = (len(problems) * r // world.size for r in (world.rank, world.rank + 1))
    mine = problems[first:last]
    rows = []
    if mine:
        prompts = [data.encode(tokenizer, data.render(tokenizer, p.question, template)) for p in mine]
        rollouts = generate(decoder, prompts, max_new_tokens=max_new_tokens, temperature=temperature, seed=seed,
                            stop_ids=stop_ids, first_sequence=first, max_rows=max_rows)
        texts = tokenizer.batch_decode(rollouts.tokens, skip_special_tokens=True)
        correct = verify.rewards(texts, [p.answer for p in mine], require_box=True)
        rows = [(p.category, r, "\\boxed" in text, done, len(tokens)) for p, r, text, done, tokens
                in zip(mine, correct, texts, rollouts.finished, rollouts.tokens, strict=True)]
    category, correct, boxed, finished, length = zip(*world.gather(rows), strict=True)
    result = {name: sum(values) / len(values) for name, values in
              dict(accuracy=correct, boxed=boxed, finished=finished, length=length).items()}
    by_category = defaultdict(list)
    for name, reward in zip(category, correct, strict=True):
        by_category[name].append(reward)
    return result | {f"accuracy/{name}": sum(r) / len(r) for name, r in by_category.items() if name}


def summary(folder: Path, validation: str) -> str:
    """The table at the end of a run, out of its metrics.jsonl: before, and after at the best checkpoint.

    Best is the highest accuracy on the `validation` set (the last step if there is none; the later of equals)."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    base, trained = lines[0], [line for line in lines if line["step"] > 0]
    evaluated = [line for line in trained if "time/evaluate" in line]
    best = max(evaluated, key=lambda line: (line.get(f"eval/{validation}/accuracy", 0), line["step"]))
    rows = [("training example", trained[0]["train/accuracy"], best["train/accuracy"])]
    for name in base:
        if name.startswith("eval/") and "accuracy" in name:
            _, problems, _, *category = name.split("/")
            rows.append((f"  {category[0]}" if category else problems, base[name], best[name]))
    seconds = sum(line.get("time/step", 0) + line.get("time/evaluate", 0) for line in lines)
    width = max(len(row[0]) for row in rows)
    table = [f"{'accuracy':{width}}  before  after {best['step']} steps"]
    table += [f"{name:{width}}  {before:6.3f}  {after:6.3f}" for name, before, after in rows]
    return "\n".join(table + [f"{seconds:.0f} seconds, of which evaluation "
                              f"{sum(line.get('time/evaluate', 0) for line in lines):.0f}"])
