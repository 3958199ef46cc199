"""evaluate.py: what is counted."""

import pytest

import data
import evaluate
import model


@pytest.fixture
def fixed(monkeypatch):
    """Stand-in for generation: the response to a question is its text after the arrow."""
    def generate(decoder, prompts, **settings):
        from sample import Rollouts
        return Rollouts([p[p.tolist().index(1) + 1:] for p in prompts], [None] * len(prompts),
                        [len(p) < 30 for p in prompts], list(range(len(prompts))))
    monkeypatch.setattr(evaluate, "generate", generate)


class Words:
    """A tokenizer of one token a character; token 1 is the arrow."""
    def __call__(self, text, add_special_tokens):
        return {"input_ids": [1 if c == ">" else ord(c) for c in text]}

    def batch_decode(self, tokens, skip_special_tokens):
        return ["".join(map(chr, row.tolist())) for row in tokens]


def test_accuracy_needs_the_box_and_is_counted_by_category(fixed, world):
    problems = [data.Problem("q>so \\boxed{4}", "4", "sums"), data.Problem("q>so it is 4", "4", "sums"),
                data.Problem("q>\\boxed{5}", "4", "products"), data.Problem("q>" + "long " * 8 + "\\boxed{4}", "4", "products")]
    got = evaluate.evaluate(None, Words(), problems, world, template="plain", stop_ids=[2], max_new_tokens=9)
    assert got == {"accuracy": 0.5, "boxed": 0.75, "finished": 0.75, "length": (12 + 10 + 9 + 49) / 4, "timeouts": 0, "errors": 0,
                   "accuracy/sums": 0.5, "accuracy/products": 0.5}


@pytest.mark.parametrize("name, source, temperature", [
    ("math500.jsonl@0.6", "math500.jsonl", 0.6), ("tiny-heldout", "tiny-heldout", 0.0), ("me@home/x.jsonl", "me@home/x.jsonl", 0.0)])
def test_the_temperature_of_a_set_stands_behind_the_last_at_sign(name, source, temperature):
    assert evaluate.source_and_temperature(name) == (source, temperature)


def test_real_generation_is_scored_greedily_by_default(folders, tokenizer, world):
    decoder = model.load(folders["qwen2-tied"])
    problems = [data.Problem(f"{i}+{i}?", str(2 * i)) for i in range(5)]
    scores = [evaluate.evaluate(decoder, tokenizer, problems, world, template="plain", stop_ids=[256], max_new_tokens=8,
                                seed=seed) for seed in (0, 1)]
    assert scores[0] == scores[1] and scores[0]["accuracy"] == 0 and 1 <= scores[0]["length"] <= 8
