"""Seconds of a GRPO step and of a PPO step on the laptop recipe, and their ratio.

    python benchmarks/bench_ppo.py [--steps 8]

They take turns in one process, so that a busy machine slows both; the learning rates are 0, so that both do their work
on the same responses. The first step warms up and does not count. Prints medians and a last line of JSON.
"""

import json
import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import torch
import tyro

import policy
import train_grpo
import train_ppo


def step(trainer, config, run, number: int) -> dict[str, float]:
    """Seconds of each phase of one step of `trainer`, a module."""
    clock = time.perf_counter()
    batch, metrics = trainer.rollout(config, run, number)
    scoring = time.perf_counter()
    scored = trainer.score(config, run, batch)
    updating = time.perf_counter()
    for micro_batches in scored[0] if trainer is train_ppo else scored:
        trainer.update(config, run, micro_batches)
    end = time.perf_counter()
    return dict(sample=metrics["time/sample"], score=updating - scoring, update=end - updating, step=end - clock)


def main(steps: int = 8) -> None:
    """Measure so many steps of each."""
    world, settings = policy.start(), dict(model=str(ROOT / "tiny-base"), heldout=(), validation="", lr=0.0)
    configs = {train_grpo: train_grpo.Config(**settings), train_ppo: train_ppo.Config(**settings, critic_lr=0.0)}
    runs = {trainer: trainer.prepare(config, world) for trainer, config in configs.items()}
    rows = [{trainer.__name__: step(trainer, configs[trainer], runs[trainer], number) for trainer in runs}
            for number in range(1, steps + 2)]
    results = {name: {phase: statistics.median(row[name][phase] for row in rows[1:]) for phase in phases}
               for name, phases in rows[0].items()}
    print(f"{torch.get_num_threads()} thread(s), torch {torch.__version__}, {world.device}")
    for name, row in results.items():
        print(f"{name:12}", *(f"{phase} {value:.3f} s  " for phase, value in row.items()))
    results["ratio"] = results["train_ppo"]["step"] / results["train_grpo"]["step"]
    print(f"a PPO step takes {results['ratio']:.2f} times a GRPO step\n{json.dumps(results)}")


if __name__ == "__main__":
    tyro.cli(main)
