"""What share of an evaluation's time grading takes: the laptop world's model on its held-out problems, on the CPU.

    OMP_NUM_THREADS=1 python benchmarks/bench_evaluate.py      about 20 seconds on an idle machine

Grading runs in a thread beside the sampling: it costs the processor time of that thread, taken from sampling, and the
wait for it when the last response has been sampled. Whole numbers are compared in that thread; formulas go to the
verifier's workers, other processes. In the last set each problem has a formula of its own as gold, so that no verdict
is remembered: the most that grading can cost.
"""

import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
import data  # noqa: E402  (the repository's root comes first on the path)
import model  # noqa: E402
import policy  # noqa: E402
import responses  # noqa: E402
from evaluate import evaluate, family  # noqa: E402

GOAL = 0.05


def measure(name: str, decoder, tokenizer, problems: list[data.Problem], world: policy.World, **settings) -> dict:
    """Evaluate as the command line does, with responses written to a folder: seconds in all; processor seconds in
    `judge`; seconds from the last response to the result."""
    judge, respond, thread, sampled = responses.judge, responses.respond, [0.0], [0.0]

    def timed_judge(*arguments):
        start = time.thread_time()
        row = judge(*arguments)
        thread[0] += time.thread_time() - start
        return row

    def timed_respond(*arguments, **options):
        yield from respond(*arguments, **options)
        sampled[0] = time.perf_counter()

    responses.judge, responses.respond = timed_judge, timed_respond
    template, stop_tokens = family(tokenizer)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        scores = evaluate(decoder, tokenizer, problems, world, template=template, require_box=False,
                          stop_ids=data.stop_ids(tokenizer, stop_tokens), folder=Path(folder), **settings)
        end = time.perf_counter()
    responses.judge, responses.respond = judge, respond
    return dict(set=name, responses=settings.get("n", 1) * len(problems), length=scores["length"],
                seconds=end - start, thread=thread[0], wait=end - sampled[0],
                share=(thread[0] + end - sampled[0]) / (end - start))


def main():
    world = policy.start()
    decoder = model.load(ROOT / "tiny-base", device=world.device).requires_grad_(False)
    tokenizer, problems = model.load_tokenizer(ROOT / "tiny-base"), data.load("tiny-heldout")
    formulas = [replace(p, answer=rf"\frac{{{i}\sqrt{{{p.answer}}}}}{{2}} + \pi") for i, p in enumerate(problems, 2)]
    settings = dict(max_new_tokens=160)
    rows = [measure("whole numbers, greedy", decoder, tokenizer, problems, world, **settings),
            measure("whole numbers, 4 samples at T=0.6", decoder, tokenizer, problems, world, n=4, temperature=0.6,
                    **settings),
            measure("formulas, greedy", decoder, tokenizer, formulas, world, **settings)]
    print("| gold answers | responses | mean length | seconds | grading thread | wait at the end | share |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        print(f"| {row['set']} | {row['responses']:,} | {row['length']:.0f} | {row['seconds']:.2f} | "
              f"{row['thread']:.3f} | {row['wait']:.3f} | {row['share']:.1%} |")
    print(f"goal: under {GOAL:.0%}; worst {max(row['share'] for row in rows):.1%}")
    print(json.dumps({row["set"]: {name: round(row[name], 4) for name in ("seconds", "thread", "wait", "share")}
                      for row in rows}))


if __name__ == "__main__":
    main()
