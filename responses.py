"""One model on one set of problems: its responses are made, graded, kept in a folder, and added up."""

import json
import math
import os
import re
import statistics
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

from torch import Tensor
from tqdm import tqdm

import data
import verify
from model import Decoder
from policy import World
from sample import stream

REFLECTION = re.compile(r"rethink|recheck|recalculate", re.I)      # the words that the paper counts (its figure 4)


def evaluate(decoder: Decoder, tokenizer, problems: list[data.Problem], world: World, *, template: str,
             stop_ids: list[int], max_new_tokens: int, temperature: float = 0.0, n: int = 1, top_p: float = 1.0,
             seed: int = 0, cache_gib: float = 0.0, require_box: bool = True, folder: Path | None = None,
             title: str = "") -> dict[str, float]:
    """`n` responses to each problem (temperature 0: greedy), shared out over the ranks -> `summarize` of all, on every
    rank. With a `folder` each is written there as it ends, and those that are there are not made again. With a `title`
    there is a bar. Response j to problem i is drawn as sequence i * n + j: no result depends on the number of ranks."""
    done = read_folder(folder, world) if folder else []
    prompts = [data.encode(tokenizer, data.render(tokenizer, p.question, template)) for p in problems]
    mine = share(list(map(len, prompts)), n, {row["sequence"] for row in done}, world)
    rows, right = [], sum(row["correct"] for row in done)

    def keep(sequence: int, tokens: Tensor, finished: bool) -> None:
        nonlocal right
        text = tokenizer.decode(tokens, skip_special_tokens=True)
        rows.append(judge(problems[sequence // n], sequence, n, text, len(tokens), finished, require_box))
        if file:
            print(json.dumps(rows[-1] | {"text": text}, ensure_ascii=False), file=file, flush=True)
        right += rows[-1]["correct"]
        bar.set_postfix(accuracy=f"{right / (len(done) + len(rows)):.3f}", refresh=False)
        bar.update()

    with ((folder / f"rank{world.rank}.jsonl").open("a", encoding="utf-8") if folder else nullcontext() as file,
          tqdm(desc=title, total=len(done) + len(mine), initial=len(done), leave=False,
               disable=not (title and world.rank == 0)) as bar,
          ThreadPoolExecutor(1) as grader):     # formulas are graded in processes of their own, while sampling goes on
        kept = [grader.submit(keep, *response) for response in
                respond(decoder, prompts, mine, n, max_new_tokens, stop_ids=stop_ids, seed=seed,
                        temperature=temperature, top_p=top_p, cache_gib=cache_gib)]
    for each in kept:
        each.result()                           # raises what went wrong in the thread
    return summarize(sorted(done + world.gather(rows), key=lambda row: row["sequence"]))


def share(lengths: list[int], n: int, done: set[int], world: World) -> list[int]:
    """The sequences (problem * n + sample) that this rank has to make: of all that are not done, ordered by the length
    of the prompt, every size-th. Before sampling a long prompt is the one sign of a long response; so all ranks get
    the same mix (and one sample each of a hard problem), and begin with what takes longest."""
    missing = [sequence for sequence in range(len(lengths) * n) if sequence not in done]
    return sorted(missing, key=lambda sequence: -lengths[sequence // n])[world.rank::world.size]


def respond(decoder: Decoder, prompts: list[Tensor], sequences: list[int], n: int, max_new_tokens: int,
            **settings) -> Iterator[tuple[int, Tensor, bool]]:
    """(sequence, tokens [T], finished) of each of `sequences` as it ends.

    Prompts that leave less room than max_new_tokens in the model's positions get what the longest of them leaves (two
    of OlympiadBench's, with the 4,096 of Qwen2.5-Math). Raises ValueError where that is nothing."""
    longest, room = max(map(len, prompts)), decoder.config.max_position_embeddings
    if longest >= room:
        raise ValueError(f"a prompt of {longest} tokens leaves no room for a response: the model has {room} positions")
    fits = {s: len(prompts[s // n]) + max_new_tokens <= room for s in sequences}
    for limit, part in ((max_new_tokens, [s for s in sequences if fits[s]]),
                        (room - longest, [s for s in sequences if not fits[s]])):
        if part:
            for i, tokens, _, finished in stream(decoder, [prompts[s // n] for s in part], sequences=part,
                                                 max_new_tokens=limit, **settings):
                yield part[i], tokens, finished


def judge(problem: data.Problem, sequence: int, n: int, text: str, length: int, finished: bool,
          require_box: bool) -> dict:
    """What is kept of the response number `sequence` % n to a problem. It alone is graded (contract 9)."""
    graded = verify.rewards([text], [problem.answer], require_box=require_box)
    return dict(sequence=sequence, problem=problem.id, sample=sequence % n, category=problem.category,
                answer=verify.extract_answer(text, require_box=require_box), gold=problem.answer, correct=graded[0],
                boxed="\\boxed" in text, length=length, finished=finished, timeouts=graded.timeouts,
                errors=graded.errors, reflection=bool(REFLECTION.search(text)))


def open_folder(folder: Path, settings: dict, world: World) -> None:
    """Make `folder` with settings.json, on every rank. ValueError where it holds responses to other settings."""
    message, file, settings = "", folder / "settings.json", json.loads(json.dumps(settings))
    if world.rank == 0 and file.exists() and any(part.stat().st_size for part in folder.glob("rank*.jsonl")):
        before = json.loads(file.read_text(encoding="utf-8"))
        for name in (name for name in before | settings if before.get(name) != settings.get(name)):
            message = (f"{folder} was begun with {name} {before.get(name)}, not {settings.get(name)}: go on with the "
                       "settings it has, or give another --out")
    elif world.rank == 0:
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    raise_on_all(message, world)


def read_folder(folder: Path, world: World) -> list[dict]:
    """The responses in `folder`, without their texts, on every rank. Rank 0 reads, before any rank writes, and cuts off
    a last line that a kill left half-written. ValueError for any other broken line, and for a response there twice."""
    rows, message = {}, ""
    for file in sorted(folder.glob("rank*.jsonl")) if world.rank == 0 else ():
        *lines, half = file.read_bytes().split(b"\n")
        os.truncate(file, file.stat().st_size - len(half))
        for number, line in enumerate(lines, 1):
            try:
                row = {name: value for name, value in json.loads(line).items() if name != "text"}
                if rows.setdefault(row["sequence"], row) is not row:
                    message = f"{folder} holds responses twice (two evaluations wrote into it at once?): delete it"
            except (AttributeError, KeyError, ValueError):
                message = f"{file}:{number}: not a response of an evaluation: delete the line"
    raise_on_all(message, world)
    return world.gather(list(rows.values()))


def raise_on_all(message: str, world: World) -> None:
    """ValueError on every rank with rank 0's message, unless that is empty."""
    (message,) = world.gather([message] if world.rank == 0 else [])
    if message:
        raise ValueError(message)


# ---------------------------------------------------------------- metrics


def summarize(rows: list[dict]) -> dict[str, float]:
    """`rows` of `judge`, n for each problem ->
    accuracy         share of correct responses, which is the mean of the problems' means (avg@n)
    standard_error   of it, over the problems: std of their means (ddof=1) / sqrt(problems); 0 for a single problem
    boxed, finished  share with a \\boxed, share that stopped by itself; length: mean tokens, stop token included
    reflection       how many responses rethink, recheck or recalculate
    timeouts, errors answers that the verifier gave up on (counted as wrong)
    pass@k           for k = 2, 4, ..., n
    accuracy/<category> where the problems have categories."""
    problems, categories = defaultdict(list), defaultdict(list)
    for row in rows:
        problems[row["sequence"] - row["sample"]].append(row["correct"])
        categories[row["category"]].append(row["correct"])
    samples = list(problems.values())
    n, means = len(samples[0]), [statistics.mean(each) for each in samples]
    result = dict(accuracy=statistics.mean(means),
                  standard_error=statistics.stdev(means) / math.sqrt(len(means)) if len(means) > 1 else 0.0)
    result |= {name: sum(row[name] for row in rows) / len(rows) for name in ("boxed", "finished", "length")}
    result |= {name: sum(row[name] for row in rows) for name in ("reflection", "timeouts", "errors")}
    result |= {f"pass@{2**e}": statistics.mean(pass_at_k(n, int(sum(each)), 2**e) for each in samples)
               for e in range(1, n.bit_length())}
    return result | {f"accuracy/{name}": statistics.mean(each) for name, each in categories.items() if name}


def pass_at_k(n: int, correct: int, k: int) -> float:
    """Unbiased estimate of pass@k from n responses, `correct` of them right: the share of all choices of k that hold a
    right one, 1 - C(n - correct, k) / C(n, k) (arXiv 2107.03374, equation 1)."""
    return 1 - math.comb(n - correct, k) / math.comb(n, k)


def average(results: dict[str, dict]) -> tuple[float, float]:
    """Mean accuracy over K benchmarks, and its standard error: they are independent, so sqrt(sum of squares) / K."""
    return (statistics.mean(r["accuracy"] for r in results.values()),
            math.hypot(*(r["standard_error"] for r in results.values())) / len(results))


# ---------------------------------------------------------------- tables (Markdown)


def table(rows: dict[str, dict[str, dict]], titles: dict[str, str]) -> str:
    """The paper's table, a row for each checkpoint: {checkpoint: {benchmark: metrics}}; the best average is bold."""
    names = list(next(iter(rows.values())))
    lines = [["checkpoint", *(titles.get(name, name) for name in names), "Avg"], ["---"] * (len(names) + 2)]
    best = max(rows, key=lambda checkpoint: average(rows[checkpoint])[0])
    for checkpoint, results in rows.items():
        cells = [(r["accuracy"], r["standard_error"]) for r in results.values()]
        *cells, mean = [f"{100 * value:.1f} ± {100 * error:.1f}" for value, error in [*cells, average(results)]]
        lines.append([checkpoint, *cells, f"**{mean}**" if len(rows) > 1 and checkpoint == best else mean])
    note = "\n\nBold: the best average. It selects on the test sets, as the paper does, and so flatters.\n"
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + (note if len(rows) > 1 else "\n")


def details(results: dict[str, dict], titles: dict[str, str]) -> str:
    """What else the responses of one checkpoint show, a row for each benchmark, and accuracy by category."""
    lines = ["| benchmark | correct | boxed | cut off | mean length | reflections | pass@k |", "|---" * 7 + "|"]
    for name, r in results.items():
        passes = [f"{100 * value:.1f} (k={k[5:]})" for k, value in r.items() if k.startswith("pass@")]
        lines.append(f"| {titles.get(name, name)} | {r['accuracy']:.1%} | {r['boxed']:.1%} | {1 - r['finished']:.1%} | "
                     f"{r['length']:.0f} | {r['reflection']} | {', '.join(passes)} |")
    for name, r in results.items():
        groups = [f"{key[9:]} {value:.1%}" for key, value in sorted(r.items()) if key.startswith("accuracy/")]
        lines += [f"\n{titles.get(name, name)}: {', '.join(groups)}"] if groups else []
    return "\n".join(lines) + "\n"
