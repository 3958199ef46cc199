"""The laptop world: nothing leaks between splits, every solution is right, the base loads."""

import random
import re
from dataclasses import replace
from itertools import combinations, islice
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import kernels
import model
import tiny
import verify
from evaluate import evaluate

BASE = Path(tiny.__file__).parent / "tiny-base"


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(BASE)


@pytest.fixture(scope="module")
def documents():
    """20,000 documents, as the committed checkpoint saw them first."""
    return [asked + learned for asked, learned in islice(tiny.corpus(tiny.Config.seed), 20_000)]


# ---------------------------------------------------------------- splits


def operands(question: str) -> tuple[int, ...]:
    return tuple(sorted(int(n) for n in re.findall(r"\d+", question)))


def test_an_existing_folder_is_not_written_over(monkeypatch):
    monkeypatch.setattr(tiny, "pretrain", None)
    with pytest.raises(SystemExit, match="tiny-base exists: choose another --out"):
        tiny.main(tiny.Config(out=str(BASE)))


def test_the_splits_have_100_and_20_problems_a_category_and_no_operands_in_common():
    heldout, validation = tiny.problems("heldout"), tiny.problems("validation")
    for category in tiny.CATEGORIES:
        assert sum(p.category == category for p in heldout) == 100
        assert sum(p.category == category for p in validation) == 20
    numbers = [operands(p.question) for p in (*heldout, *validation, *tiny.EXAMPLES.values())]
    assert len(set(numbers)) == len(numbers) == 800 + 160 + len(tiny.EXAMPLES)
    assert tiny.problems("heldout") == heldout


def test_the_order_of_operands_does_not_change_their_split():
    assert tiny.split_of((39, 57)) == tiny.split_of((57, 39)) == "example"
    assert all(tiny.split_of((a, b)) == tiny.split_of((b, a)) for a in range(11, 100) for b in range(11, 100))


def test_no_document_of_the_corpus_has_the_operands_of_another_problem_side_by_side(documents):
    """Scan the text itself: whatever is asked, added, subtracted, multiplied, compared or printed."""
    reserved = {operands(p.question) for p in (*tiny.problems("heldout"), *tiny.problems("validation"),
                                               *tiny.EXAMPLES.values())}
    for text in documents:
        groups = re.findall(r"\d+(?:[-+*,]\d+)+|\d+ or \d+", text)     # 57+39, 47*6+28, max(57,39), 57 or 39
        if question := re.match(r"Q: (.*)\n", text):
            groups.append(question[1])
        for group in groups:
            numbers = operands(group)
            assert numbers not in reserved and not reserved & set(combinations(numbers, 2)), text


# ---------------------------------------------------------------- solutions


def test_an_addition_is_worked_from_the_right_with_its_carry():
    assert tiny.work("+", 57, 39, 96) == "57+39: 7+9=16 carry 1, 5+3+1=9, so 96"
    assert tiny.work("-", 83, 57, 26) == "83-57: 3-7+10=6 carry 1, 8-5-1=2, so 26"
    assert tiny.work("*", 47, 6, 282) == "47*6: 7*6=42 carry 4, 4*6=24, with carry 28, so 282"
    assert tiny.work("?", 83, 85, 85) == "83 or 85: 8=8, 3<5, so 85"


def test_every_equation_in_the_corpus_holds_and_every_conclusion_follows(documents):
    def value(expression: str) -> int:
        """Sum of signed products, for text like 3-7+10 or 4*6+4."""
        terms = re.findall(r"([-+]?)([\d*]+)", expression)
        return sum((-1 if sign == "-" else 1) * torch.tensor([int(x) for x in term.split("*")]).prod().item()
                   for sign, term in terms)

    checked = 0
    for text in documents[:4000]:
        for left, right in re.findall(r"(\d[-+*\d]*)=(\d+)(?!\?)", text):
            assert value(left) == int(right), text
            checked += 1
        for carry, product, total in re.findall(r"carry (\d), \d\*\d=(\d+), with carry (\d+)", text):
            assert int(product) + int(carry) == int(total), text
        for left, right in re.findall(r"(\d+[-+*]\d+): [^.]*?so (\d+)", text):
            assert value(left) == int(right), text
    assert checked > 4000


def styles(count: int) -> list[tuple[str, float]]:
    """`count` answers of the corpus with their reward."""
    rng = random.Random(0)
    tasks = [tiny.draw_task(rng, rng.choice(tiny.CATEGORIES), "corpus") for _ in range(count)]
    answers = [tiny.respond(rng, task, wording=0) for task in tasks]
    return [(answer, verify.reward(answer, str(task.answer()), require_box=True))
            for answer, task in zip(answers, tasks)]


def test_worked_and_boxed_is_always_rewarded_unboxed_or_rambling_never_and_a_guess_one_time_in_ten_at_most():
    answers = styles(3000)
    boxed = r"\boxed{"
    assert {reward for text, reward in answers if " Steps:" in text and boxed in text} == {1.0}
    assert {reward for text, reward in answers if boxed not in text} == {0.0}
    guesses = [reward for text, reward in answers if " Steps:" not in text and boxed in text]
    assert len(guesses) > 1000 and 0.01 < sum(guesses) / len(guesses) < 0.1


# ---------------------------------------------------------------- tokenizer and checkpoint


def test_a_digit_is_a_token_of_its_own_also_in_a_box(tokenizer, documents):
    assert tokenizer.convert_ids_to_tokens(tokenizer(r"\boxed{96}").input_ids)[-4:-1] == ["{", "9", "6"]
    for text in tokenizer.get_vocab():
        assert len(text) == 1 or not re.search(r"\d", text), text


def test_the_tokenizer_gives_every_document_back(tokenizer, documents):
    for text in documents[:1000]:
        assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_the_chat_template_renders_the_prompt_of_the_corpus(tokenizer, documents):
    chat = [{"role": "user", "content": tiny.EXAMPLES["tiny-add"].question}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    assert prompt == "Q: Sam has 57 apples and gets 39 more. How many apples in all?\nA:"
    for text in documents[:300]:
        if text.startswith("Q:"):      # prompt and response tokenized apart are the document tokenized whole
            prompt, response = re.fullmatch(r"(Q: .*?\nA:)(.*)", text, re.DOTALL).groups()
            assert tokenizer(prompt).input_ids + tokenizer(response).input_ids == tokenizer(text).input_ids


def test_every_document_is_short(tokenizer, documents):
    assert max(len(ids) for ids in tokenizer(documents[:4000]).input_ids) <= 160


def test_the_committed_base_gives_the_logits_that_transformers_gives(tokenizer):
    assert sum(file.stat().st_size for file in BASE.iterdir()) <= 2.5e6
    tokens = torch.tensor(tokenizer("Q: 57+39=?\nA: Steps:").input_ids)                     # [N]
    attend = kernels.PackedAttention([(0, len(tokens), 0, 0)], tokens.device)
    ours = model.load(BASE)(tokens, torch.arange(len(tokens)), attend, model.logits)        # [N, V]
    theirs = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)(tokens[None]).logits[0]
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_two_steps_of_pre_training_are_reproducible(tokenizer):
    first, second = (tiny.pretrain(tokenizer, steps=2, seed=1) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_the_base_solves_nearly_everything_in_the_good_style_and_seldom_picks_it(tokenizer, world):
    decoder, asked = model.load(BASE), tiny.problems("heldout")[::4]
    begun = [replace(problem, question=f"Q: {problem.question}\nA: Steps:") for problem in asked]
    greedy, forced = (evaluate(decoder, tokenizer, these, world, template=template, max_new_tokens=160,
                               stop_ids=[tokenizer.eos_token_id])["accuracy"]
                      for these, template in ((asked, "chat"), (begun, "plain")))
    assert 0.15 <= greedy <= 0.40
    assert forced > 0.9
