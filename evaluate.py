"""Score a model on problems: accuracy in all and by category, share boxed, share truncated, mean length."""

import time
from collections import defaultdict

import data
import verify
from model import Decoder
from policy import World
from sample import generate


def evaluate(decoder: Decoder, tokenizer, problems: list[data.Problem], world: World, *, template: str,
             stop_ids: list[int], max_new_tokens: int, temperature: float = 0.0, seed: int = 0,
             cache_gib: float = 0.0) -> dict[str, float]:
    """One response to each problem (temperature 0: greedy), shared out over the ranks; every rank gets the result.

    Returns `accuracy` (needs the box), `boxed`, `finished` (shares of 1), `length` (mean tokens), `timeouts` and
    `errors` of the verifier, and `accuracy/<category>` where the problems have categories. The result does not depend
    on the number of ranks."""
    numbers = list(range(world.rank, len(problems), world.size))
    mine = [problems[i] for i in numbers]
    rows, graded = [], verify.Rewards()
    if mine:
        prompts = [data.encode(tokenizer, data.render(tokenizer, p.question, template)) for p in mine]
        rollouts = generate(decoder, prompts, max_new_tokens=max_new_tokens, temperature=temperature, seed=seed,
                            stop_ids=stop_ids, sequences=numbers, cache_gib=cache_gib)
        texts = tokenizer.batch_decode(rollouts.tokens, skip_special_tokens=True)
        graded = verify.rewards(texts, [p.answer for p in mine], require_box=True)
        rows = [(p.category, r, "\\boxed" in text, done, len(tokens)) for p, r, text, done, tokens
                in zip(mine, graded, texts, rollouts.finished, rollouts.tokens, strict=True)]
    category, correct, boxed, finished, length = zip(*world.gather(rows), strict=True)
    result = {name: sum(values) / len(values) for name, values in
              dict(accuracy=correct, boxed=boxed, finished=finished, length=length).items()}
    result["timeouts"], result["errors"] = world.sum(graded.timeouts, graded.errors)
    by_category = defaultdict(list)
    for name, reward in zip(category, correct, strict=True):
        by_category[name].append(reward)
    return result | {f"accuracy/{name}": sum(r) / len(r) for name, r in by_category.items() if name}


def source_and_temperature(name: str) -> tuple[str, float]:
    """"math500.jsonl@0.6" -> ("math500.jsonl", 0.6); without a number behind an @: the whole name, greedy."""
    source, _, temperature = name.rpartition("@")
    try:
        return source, float(temperature)
    except ValueError:
        return name, 0.0


def evaluate_sets(decoder: Decoder, tokenizer, sets: dict[str, list[data.Problem]], world: World, **settings) -> dict:
    """`evaluate` on each set, greedily or at the temperature behind the @ of its name -> {eval/<set>/<metric>: value},
    and the seconds as time/evaluate. `settings` are those of `evaluate`."""
    clock, results = time.perf_counter(), {}
    for name, problems in sets.items():
        _, temperature = source_and_temperature(name)
        scores = evaluate(decoder, tokenizer, problems, world, temperature=temperature, **settings)
        results |= {f"eval/{name}/{metric}": value for metric, value in scores.items()}
    return results | {"time/evaluate": time.perf_counter() - clock}
