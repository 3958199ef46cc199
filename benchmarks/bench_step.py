"""Seconds a training step on the laptop recipe, split by phase; beside TRL's GRPOTrainer where trl is installed.

    python benchmarks/bench_step.py [--steps 8]      # with: pip install trl==1.16.0, for the comparison

Both train tiny-base on the same prompt with 128 responses a step in groups of 8, at most 160 new tokens, temperature 1,
KL to a frozen reference, one update, AdamW, the same number of threads; both from the same base weights, so that the
responses are of the same length. The first two steps warm up and do not count. Prints a table and a last line of JSON.
"""

import json
import os
import re
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import torch
import tyro

import data
import model
import train_grpo

PHASES = ("sample", "verify", "score", "update")
WARM_UP = 2


@dataclass(frozen=True)
class Config:
    steps: int = 8              # measured steps


def ours(config: train_grpo.Config) -> dict[str, float]:
    """Median seconds of each phase, out of the metrics that a run writes."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        train_grpo.train(config, "bench")
        lines = [json.loads(line) for line in Path("runs/bench/metrics.jsonl").read_text().splitlines()][1 + WARM_UP:]
        os.chdir(ROOT)
    names = {f"{phase}": f"time/{phase}" for phase in (*PHASES, "step")} | {"tokens a response": "train/length"}
    return {name: statistics.median(line[key] for line in lines) for name, key in names.items()}


def trl(config: train_grpo.Config) -> dict[str, float]:
    """Median seconds of a step of TRL's GRPOTrainer on the same work, by its own callback's clock."""
    import datasets
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer
    tokenizer = model.load_tokenizer(config.model)
    (problem,) = data.load(config.example[0])
    prompt = data.render(tokenizer, problem.question, config.template)
    B = config.rows * config.group_size
    lengths, marks = [], []

    def reward(completions, **_):
        lengths.append(statistics.mean(len(tokenizer(text)["input_ids"]) for text in completions))
        return [float(re.findall(r"\\boxed\{(.*?)\}", text)[-1:] == [problem.answer]) for text in completions]

    class Clock(TrainerCallback):
        def on_step_begin(self, *_, **__): marks.append(time.perf_counter())
        def on_step_end(self, *_, **__): marks[-1] = time.perf_counter() - marks[-1]

    with tempfile.TemporaryDirectory() as folder:
        settings = GRPOConfig(
            output_dir=folder, per_device_train_batch_size=B, num_generations=config.group_size, max_steps=config.steps,
            max_completion_length=config.max_new_tokens, temperature=config.temperature, beta=config.kl_coef,
            learning_rate=config.lr, weight_decay=config.weight_decay, lr_scheduler_type="constant", use_cpu=True,
            gradient_checkpointing=False, bf16=False, save_strategy="no", report_to=[], disable_tqdm=True,
            logging_strategy="no", seed=config.seed, model_init_kwargs={"dtype": "float32"})
        trainer = GRPOTrainer(config.model, reward_funcs=reward, args=settings, processing_class=tokenizer,
                              train_dataset=datasets.Dataset.from_dict({"prompt": [prompt] * B}), callbacks=[Clock()])
        trainer.train()
    return {"step": statistics.median(marks[WARM_UP:]), "tokens a response": statistics.median(lengths[WARM_UP:])}


def main(arguments: Config) -> None:
    config = replace(train_grpo.RECIPES["tiny"], model=str(ROOT / "tiny-base"), name="bench", heldout=(), validation="",
                     steps=arguments.steps + WARM_UP, eval_every=10**6)
    results = {"oneshot": ours(config)}
    try:
        import trl as _  # noqa: F401
        results["trl"] = trl(config)
    except ImportError:
        print("trl is not installed: no comparison")
    columns = [*PHASES, "step", "tokens a response"]
    print(f"\n{torch.get_num_threads()} thread(s), torch {torch.__version__}\n{'seconds':10}", *(f"{c:>10}" for c in columns))
    for name, row in results.items():
        print(f"{name:10}", *(f"{row[c]:10.3f}" if c in row else f"{'':10}" for c in columns))
    print(json.dumps(results))


if __name__ == "__main__":
    main(tyro.cli(Config))
