"""How fast answers are graded: a step of 1-shot training, 5,000 distinct pairs, hostile ones.

    python benchmarks/bench_verify.py      about 20 seconds; half a minute more where math-verify is installed
"""

import json
import random
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import verify  # noqa: E402  (the repository's root comes first on the path)

try:
    import math_verify
except ImportError:
    math_verify = None

PEER_PAIRS = 500           # math-verify grades only the first of the 5,000
HOSTILE = [
    "9^{9^{9^{9}}}", "10^{10^{9}}", "((((9!)!)!)!)!", "9" * 1999, "9" * 100_000, "x" * 100_000,
    "2500!" * 100, "1+" * 999 + "1", "+".join(["1/2499!"] * 220), r"\sqrt{" * 500 + "7" + "}" * 500,
    r"\frac{1}{" * 300 + "7" + "}" * 300, "(" * 1999,
    r"\begin{pmatrix}" + r"\\".join(["&".join(["1"] * 200)] * 200) + r"\end{pmatrix}",
    r"\sum_{k=1}^{100000000} k", "+".join(rf"\sqrt{{{k}}}" for k in range(200)),
    "+".join(f"x_{{{k}}}^{{99}}" for k in range(150)), "(x+y+z+w)^{2000}", r"e^{e^{e^{e^{e}}}}",
    r"\sin(10^{10^{6}})", r"\int_0^\infty e^{x^x} dx", "__import__('os').system('id')", "7\x00", "\u202e7",
    "1," * 999 + "1", "(1,2)," * 300 + "(1,2)", "x>1 or " * 200 + "x<5", "1 < |x| < 2" + r"\sqrt2 " * 200,
    "|2500! x| < 1", r"\begin{cases}" + r"x=1\\" * 350 + r"\end{cases}", "0.707" + "x" * 1500,
    r"\begin{vmatrix}" + r"\\".join(["&".join(["2499!x"] * 4)] * 4) + r"\end{vmatrix}",
]
GOLDS = ("7", r"\sqrt7+x", "1 < x < 2")


def benchmark_like(n, seed=0):
    """n distinct (prediction, gold) in the shapes of MATH, AIME and OlympiadBench, half of them equal."""
    rng, pairs = random.Random(seed), {}
    while len(pairs) < n:
        a, b, c, d = (rng.randrange(2, 400) for _ in range(4))
        e = a + rng.choice((0, 1))                                           # equal or a near miss
        prediction, gold = rng.choice([
            (f"{e}", f"{a}"), (rf"\dfrac{{{e}}}{{{b}}}", rf"\frac{{{a}}}{{{b}}}"),
            (f"{e / 8}", rf"\frac{{{a}}}{{8}}"), (rf"{e}\sqrt{{{b}}}", rf"\sqrt{{{a * a * b}}}"),
            (rf"\frac{{{e}\pi}}{{{b}}}", rf"\frac{{{a}}}{{{b}}}\pi"),
            (f"({e}, -{b}, {c})", rf"\left({a}, -{b}, {c}\right)"), (f"{c}, {e}, {b}", f"{a}, {b}, {c}"),
            (f"[-{b}, {e})", rf"-{b} \le x < {a}"), (rf"x = {e} \text{{ cm}}", f"{a}"),
            (rf"{e}^\circ", rf"{a}^\circ"), (rf"{b}x^2+{e}x-{c}", rf"-{c}+{a}x+{b}x^{{2}}"),
            (rf"(x+{e})(x-{b})", rf"x^2+{a - b}x-{a * b}"),
            (rf"\frac{{n(n+{e})}}{{2}}", rf"\frac{{n^2+{a}n}}{{2}}"),
            (f"y = {b}x+{e}", f"{b}x - y + {a} = 0"), (rf"{b} \pm {e}i", rf"{b}+{a}i, {b}-{a}i"),
            (rf"{e}_{{7}}", f"{a}_7"), (rf"\text{{({'ABCDE'[e % 5]})}}", "ABCDE"[a % 5]),
            (rf"\begin{{pmatrix}} {e} \\ {b} \end{{pmatrix}}", rf"\begin{{pmatrix}}{a}\\{b}\end{{pmatrix}}"),
            (f"{e / 100:.2f}e{c % 40}", rf"{a / 100:.2f} \times 10^{{{c % 40}}}"),
            (rf"\${e:,}.{d % 100:02}", rf"{a}.{d % 100:02}"),
        ])
        pairs[prediction, gold] = None
    return list(pairs)


def timed(grade, pairs):
    """Milliseconds of each pair."""
    times = []
    for pair in pairs:
        start = time.perf_counter()
        grade(*pair)
        times.append(1000 * (time.perf_counter() - start))
    return times


def peer(prediction, gold):
    return math_verify.verify(math_verify.parse(f"${gold}$"), math_verify.parse(f"${prediction}$"))


def step(responses, gold):
    """Milliseconds of one training step's rewards()."""
    start = time.perf_counter()
    verify.rewards(responses, [gold] * len(responses), require_box=True)
    return 1000 * (time.perf_counter() - start)


def main():
    rng = random.Random(0)
    answers = [
        "12.8", "12.7", r"\frac{64}{5}", r"8\sqrt[3]{4}", "13", r"12.8 \text{ mph}", "12.70", "16",
        r"V = 12.8", r"4\sqrt[3]{32}", *map(str, range(20)),
    ]
    text = "The pressure varies jointly as the area and the cube of the velocity. " * 20
    responses = [f"{text} so \\boxed{{{rng.choice(answers)}}}." for _ in range(1024)]
    first = step(responses, "12.8")
    again = statistics.median(step(responses, "12.8") for _ in range(20))
    print(f"1-shot step, 1,024 responses, {len(answers)} distinct answers: "
          f"first {first:.1f} ms (starts the workers), then {again:.1f} ms")

    pairs = benchmark_like(5000)
    verify.is_equivalent("1", "2")
    ours = timed(verify.is_equivalent, pairs)
    print(f"5,000 distinct pairs: median {statistics.median(ours):.3f} ms, "
          f"mean {statistics.mean(ours):.3f} ms, worst {max(ours):.1f} ms, "
          f"{1000 / statistics.mean(ours):,.0f} pairs/s in one process")
    worst = max(timed(verify.is_equivalent, [(h, g) for h in HOSTILE for g in GOLDS]))
    print(f"{len(GOLDS) * len(HOSTILE)} hostile pairs: worst {worst:.0f} ms")
    result = {"step_first_ms": first, "step_ms": again, "median_ms": statistics.median(ours),
              "mean_ms": statistics.mean(ours), "worst_ms": max(ours), "hostile_worst_ms": worst,
              "math_verify_mean_ms": None, "times_faster": None}
    if math_verify:
        peer(*pairs[0])
        theirs = timed(peer, pairs[:PEER_PAIRS])
        result["math_verify_mean_ms"] = statistics.mean(theirs)
        result["times_faster"] = statistics.mean(theirs) / statistics.mean(ours[:PEER_PAIRS])
        print(f"math-verify, the first {PEER_PAIRS}: median {statistics.median(theirs):.3f} ms, "
              f"mean {statistics.mean(theirs):.3f} ms; ours: {result['times_faster']:.1f} times faster")
    print(json.dumps({k: round(v, 3) if v else v for k, v in result.items()}))


if __name__ == "__main__":
    main()
