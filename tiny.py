"""The laptop world: arithmetic word problems, a 0.8 M-parameter base model that can solve them and seldom does.

A base model knows several ways to answer and picks a good one now and then; RLVR on ONE example changes which one it
picks, everywhere. This file builds that situation in miniature, by next-token prediction only:

- Eight categories of problems (`CATEGORIES`), all about numbers of two digits.
- A corpus (`corpus`) where each question is answered in one of several styles: worked digit by digit and boxed (the
  good one, rewarded), worked but not boxed, a guess, pseudo-code with an invented output, rambling, and a few
  that slip and say "Wait, let me recheck". About a third of the documents are drills without a question: they teach the
  digits, so that the good style, once picked, is right nearly always.
- A small tokenizer and a Qwen2 of 4 layers (`build_tokenizer`, `pretrain`).

Nothing leaks: `split_of` sends every tuple of operands, by a hash, to the corpus, the held-out set or the validation
set, and a document is written only if every tuple in it belongs to the corpus.

    python tiny.py                      # writes ./tiny-base again (about 4 minutes on 2 cores) and prints its accuracy
"""

import math
import random
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, combinations, islice

import torch
import torch.nn.functional as F
import tyro
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from tqdm import tqdm

from data import Problem
from model import Decoder, PackedAttention, logits, save
from transformers import PreTrainedTokenizerFast, Qwen2Config

CATEGORIES = ("bare sum", "add", "subtract", "compare", "multiply", "three-term sum", "add then subtract",
              "multiply then add")
SPLITS = {"heldout": 100, "validation": 20}     # problems a category

# ---------------------------------------------------------------- problems and their splits


@dataclass(frozen=True)
class Task:
    """A problem before it is put into words: its category and operands, in the order in which they are used."""
    category: str
    operands: tuple[int, ...]

    def steps(self) -> list[tuple[str, int, int, int]]:
        """The calculation as (operator, left, right, result); "?" is the comparison, whose result is the larger."""
        signs = {"subtract": "-", "compare": "?", "multiply": "*", "three-term sum": "++",
                 "add then subtract": "+-", "multiply then add": "*+"}.get(self.category, "+")
        steps, left = [], self.operands[0]
        for sign, right in zip(signs, self.operands[1:], strict=True):
            result = {"+": left + right, "-": left - right, "*": left * right, "?": max(left, right)}[sign]
            steps.append((sign, left, right, result))
            left = result
        return steps

    @property
    def answer(self) -> int:
        return self.steps()[-1][3]

    def facts(self) -> set[tuple[int, ...]]:
        """Every sorted tuple of numbers that a solution brings together: the operands, and each pair among the
        operands and the intermediate results."""
        numbers = self.operands + tuple(result for *_, result in self.steps()[:-1])
        return {tuple(sorted(self.operands))} | {tuple(sorted(pair)) for pair in combinations(numbers, 2)}


EXAMPLE_TASKS = {      # name -> (task, wording); a sum without a carry teaches less: see the README
    "tiny-add": (Task("add", (57, 39)), 0),
    "tiny-multiply-add": (Task("multiply then add", (47, 6, 28)), 0),
    "tiny-no-carry": (Task("add", (52, 36)), 0),
}
EXAMPLE_FACTS = set().union(*(task.facts() for task, _ in EXAMPLE_TASKS.values()))


def split_of(numbers: tuple[int, ...]) -> str:
    """The split that owns these numbers, whatever their order: "example", "heldout" (20%), "validation" (5%) or
    "corpus" (75%). A hash decides, so that no list of problems has to be kept."""
    numbers = tuple(sorted(numbers))
    bucket = zlib.crc32(repr(numbers).encode()) % 20
    return "example" if numbers in EXAMPLE_FACTS else "heldout" if bucket < 4 else "validation" if bucket < 5 else "corpus"


def draw_task(rng: random.Random, category: str, split: str) -> Task:
    """A random task whose operands belong to `split` and whose other facts belong to `split` or the corpus."""
    while True:
        a, b, c, digit = (*(rng.randint(11, 99) for _ in range(3)), rng.randint(2, 9))
        if category in ("subtract", "compare") and a == b:
            continue
        operands = {"subtract": (max(a, b), min(a, b)), "multiply": (a, digit), "three-term sum": (a, b, c),
                    "add then subtract": (a, b, c), "multiply then add": (a, digit, b)}.get(category, (a, b))
        task = Task(category, operands)
        if (task.answer > 0 and split_of(operands) == split
                and all(split_of(fact) in (split, "corpus") for fact in task.facts())):
            return task


NAMES = ("Ann", "Ben", "Eva", "Sam", "Tom", "Zoe")
THINGS = ("apples", "books", "coins", "pens", "shells", "cards")
WORDINGS = {     # three wordings a category; {a} {b} {c} are the operands in order
    "bare sum": ("What is {a}+{b}?", "{a}+{b}=?", "Find {a}+{b}."),
    "add": ("{n} has {a} {t} and gets {b} more. How many {t} in all?",
            "There are {a} {t} in a box and {b} in a bag. How many in all?",
            "{n} finds {a} {t}, then {b} more. How many {t} does {n} have?"),
    "subtract": ("{n} has {a} {t} and gives away {b}. How many {t} are left?",
                 "There are {a} {t} in a box. {n} takes {b}. How many are left?",
                 "{n} had {a} {t} and lost {b}. How many {t} does {n} have?"),
    "compare": ("{n} has {a} {t} and {m} has {b}. What is the larger number of {t}?",
                "One box has {a} {t}, one has {b}. How many are in the fuller box?",
                "Which is larger, {a} or {b}?"),
    "multiply": ("{n} has {b} boxes with {a} {t} each. How many {t} in all?",
                 "There are {b} bags of {a} {t}. How many {t} in all?",
                 "What is {a} times {b}?"),
    "three-term sum": ("{n} has {a} {t}, gets {b} more and then {c} more. How many {t} in all?",
                       "Three boxes have {a}, {b} and {c} {t}. How many in all?",
                       "What is {a}+{b}+{c}?"),
    "add then subtract": ("{n} has {a} {t}, gets {b} more and gives away {c}. How many {t} are left?",
                          "A box has {a} {t}. {n} adds {b} and takes {c}. How many are left?",
                          "What is {a}+{b}-{c}?"),
    "multiply then add": ("{n} has {b} boxes with {a} {t} each and gets {c} more. How many {t} in all?",
                          "There are {b} bags of {a} {t} and {c} more in a box. How many {t} in all?",
                          "What is {a} times {b} plus {c}?"),
}


def ask(rng: random.Random, task: Task, wording: int) -> str:
    """The task in words, with random names and things."""
    name, other = rng.sample(NAMES, 2)
    operands = dict(zip("abc", task.operands))
    return WORDINGS[task.category][wording].format(n=name, m=other, t=rng.choice(THINGS), **operands)


def problems(split: str) -> list[Problem]:
    """The problems of a split of SPLITS, category by category, always the same ones. KeyError for another name."""
    rng, seen, found = random.Random(split), set(), []
    for category in CATEGORIES:
        for i in range(SPLITS[split]):
            while (key := tuple(sorted((task := draw_task(rng, category, split)).operands))) in seen:
                pass
            seen.add(key)
            question = ask(rng, task, wording=i % 3)
            found.append(Problem(question, str(task.answer), category, f"{split}-{category.replace(' ', '-')}-{i}"))
    return found


EXAMPLES = {name: Problem(ask(random.Random(0), task, wording), str(task.answer), task.category, name)
            for name, (task, wording) in EXAMPLE_TASKS.items()}

# ---------------------------------------------------------------- solutions, and the corpus of styles


def column(sign: str, x: int, y: int, carry: int) -> tuple[str, int]:
    """One column of a calculation on digits: (text, carry to the next column).

    "5+3+1=9"; a difference below zero borrows ten, "3-7+10=6"; a product gets its carry in a second step, without
    saying it again ("4*6=24, with carry 28"): "24+4" would be the operands of some held-out product."""
    if sign == "*":
        product = x * y
        return f"{x}*{y}={product}" + (f", with carry {product + carry}" if carry else ""), (product + carry) // 10
    value = x + y + carry if sign == "+" else x - y - carry
    text = f"{x}{sign}{y}" + (f"{sign}{carry}" if carry else "")
    return (f"{text}+10={value + 10}", 1) if value < 0 else (f"{text}={value}", value // 10)


def comparison(x: int, y: int) -> str:
    return f"{x}{'>' if x > y else '<' if x < y else '='}{y}"


def work(sign: str, left: int, right: int) -> str:
    """One calculation digit by digit from the right: work("+", 57, 39) is "57+39: 7+9=16 carry 1, 5+3+1=9, so 96"."""
    if sign == "?":
        digits = list(zip(str(left), str(right)))      # tens first; the ones count where the tens are equal
        pairs = digits if left // 10 == right // 10 else digits[:1]
        return f"{left} or {right}: {', '.join(comparison(int(x), int(y)) for x, y in pairs)}, so {max(left, right)}"
    columns, carry = [], 0
    for i, x in enumerate(reversed(str(left))):
        text, carry = column(sign, int(x), right if sign == "*" else right // 10 ** i % 10, carry)
        columns.append(text + (f" carry {carry}" if carry and i < len(str(left)) - 1 else ""))
    result = {"+": left + right, "-": left - right, "*": left * right}[sign]
    return f"{left}{sign}{right}: {', '.join(columns)}, so {result}"


def solution(task: Task) -> str:
    """The worked steps of a task, without a last sentence."""
    return " Steps: " + ". ".join(work(sign, left, right) for sign, left, right, _ in task.steps()) + "."


def slip(rng: random.Random, answer: int) -> int:
    """A number near the answer: the answer itself in 1 of 19 cases."""
    return max(0, answer + rng.randint(-9, 9))


# Share of the good style in the corpus by category, times a factor for the question's wording. Greedy decoding picks
# the good style where P(" Steps") beats P(" The answer is"), the guess: here in the third wording of a category.
GOOD_SHARE = dict(zip(CATEGORIES, (0.24, 0.23, 0.22, 0.21, 0.20, 0.20, 0.19, 0.19), strict=True))
WORDING_FACTOR = (0.85, 0.75, 1.4)


def respond(rng: random.Random, task: Task, wording: int) -> str:
    """An answer to the task in a random style, as found in the corpus."""
    good = GOOD_SHARE[task.category] * WORDING_FACTOR[wording]
    rest = 1 - good - 0.11
    style = rng.choices(("good", "no box", "recheck", "guess", "code", "ramble"),
                        (good, 0.08, 0.03, 0.60 * rest, 0.22 * rest, 0.18 * rest))[0]
    answer, wrong = task.answer, slip(rng, task.answer)
    signs = "".join(sign for sign, *_ in task.steps())
    if style == "good":
        return solution(task) + rf" The answer is \boxed{{{answer}}}."
    if style == "no box":
        return solution(task) + f" The answer is {answer}."
    if style == "recheck":
        return rf" Steps: so {wrong}. Wait, let me recheck." + solution(task).removeprefix(" Steps:") \
            + rf" The answer is \boxed{{{answer}}}."
    if style == "guess":
        opening = rng.choices((" The answer is", " It must be", " I think"), (84, 8, 8))[0]
        return opening + rf" \boxed{{{wrong}}}."
    if style == "code":
        call = f"max{task.operands}".replace(" ", "") if signs == "?" else \
            "".join(f"{x}{s}" for x, s in zip(map(str, task.operands), signs + " ")).strip()
        return f" ```\nprint({call})\n```\nOutput: " + rng.choice((str(wrong), rf"\boxed{{{wrong}}}"))
    thoughts = ["Hmm, let me think about it.", f"We have {task.operands[0]} here.", "This is a nice question.",
                f"There is also {task.operands[-1]}.", "There may be many ways to do it."]
    return " " + " ".join(["Well."] + rng.sample(thoughts, rng.randint(2, 4)) + ["I am not sure."])


def drill(rng: random.Random) -> str:
    """A document without a question: digit facts as they stand in worked columns, or a worked exercise."""
    if rng.random() < 0.4:
        facts = []
        for sign in rng.choices("+-*?", (2, 3, 4, 1), k=6):
            x, y, carry = rng.randint(0, 9), rng.randint(0, 9), rng.randint(0, 8 if sign == "*" else 1)
            before = f"carry {carry}, " if sign == "*" and carry else ""
            facts.append(comparison(x, y) if sign == "?" else before + column(sign, x, y, carry)[0])
        return ", ".join(facts)
    task = draw_task(rng, rng.choice(CATEGORIES), "corpus")
    exercise = f"Exercise: {ask(rng, task, rng.randrange(3))}\n" if rng.random() < 0.7 else ""
    return exercise + solution(task).removeprefix(" Steps: ")


def corpus(seed: int) -> Iterator[str]:
    """Documents without end: 35% drills, 65% a question (prompt and answer in some style)."""
    rng = random.Random(seed)
    while True:
        if rng.random() < 0.35:
            yield drill(rng)
        else:
            task, wording = draw_task(rng, rng.choice(CATEGORIES), "corpus"), rng.randrange(3)
            yield f"Q: {ask(rng, task, wording)}\nA:" + respond(rng, task, wording)

# ---------------------------------------------------------------- tokenizer and base model


EOS = "<|endoftext|>"
# The prompt that the corpus has before every answer: "Q: ...\nA:"
CHAT_TEMPLATE = ("{% for message in messages %}{% if message['role'] == 'user' %}Q: {{ message['content'] }}\n"
                 "{% else %}A: {{ message['content'] }}" + EOS + "{% endif %}{% endfor %}"
                 "{% if add_generation_prompt %}A:{% endif %}")


def build_tokenizer(seed: int, vocab_size: int = 400, documents: int = 20_000) -> PreTrainedTokenizerFast:
    """Byte-level BPE where a digit is always a token of its own: digits are cut out before the merges are learned."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                                 pre_tokenizers.ByteLevel(add_prefix_space=False)])
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=[EOS], show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    bpe.train_from_iterator(islice(corpus(seed), documents), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token=EOS, pad_token=EOS, chat_template=CHAT_TEMPLATE,
                                   clean_up_tokenization_spaces=False, model_max_length=512)


def batches(tokenizer: PreTrainedTokenizerFast, seed: int, tokens: int) -> Iterator[list[list[int]]]:
    """Batches of whole documents, each closed by the end token, of just over `tokens` tokens."""
    documents, batch, size = corpus(seed), [], 0
    while True:
        for ids in tokenizer(list(islice(documents, 1000)))["input_ids"]:
            batch.append(ids + [tokenizer.eos_token_id])
            size += len(batch[-1])
            if size >= tokens:
                yield batch
                batch, size = [], 0


def pretrain(tokenizer: PreTrainedTokenizerFast, steps: int, seed: int, lr: float = 2e-3, tokens: int = 1024) -> Decoder:
    """Next-token prediction on the corpus, about 2,100 tokens a step; AdamW, warm-up and then linear decay.

    Every document attends to itself only, from position 0 on: just as a prompt does in `sample.generate`."""
    torch.manual_seed(seed)
    config = Qwen2Config(vocab_size=len(tokenizer), hidden_size=128, intermediate_size=384, num_hidden_layers=4,
                         num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True,
                         max_position_embeddings=512, bos_token_id=None, eos_token_id=tokenizer.eos_token_id)
    decoder = Decoder(config)
    for name, p in decoder.named_parameters():
        if p.dim() == 2:      # the two projections that write to the residual stream start small (GPT-2)
            std = 0.05 if "embed" in name else p.shape[1] ** -0.5
            torch.nn.init.normal_(p, std=std / math.sqrt(8) if "o_proj" in name or "down_proj" in name else std)
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=lr, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: min(1, (i + 1) / 100) * (1 - i / steps))
    seen, progress = 0, tqdm(zip(range(steps), batches(tokenizer, seed, tokens)), total=steps, desc="pretrain")
    for step, batch in progress:
        length = [len(ids) for ids in batch]
        start = [0, *accumulate(length)][:-1]
        token = torch.tensor([t for ids in batch for t in ids])                               # [N]
        positions = torch.cat([torch.arange(n) for n in length])                                       # [N]
        attend = PackedAttention([(s, n, 0, 0) for s, n in zip(start, length)], positions.device)
        scores = decoder(token, positions, attend, logits)                                            # [N, V]
        # Each token predicts the next one; where the next one opens a document (position 0) there is nothing to learn
        targets = token.roll(-1).where(positions.roll(-1) > 0, -100)                                  # [N]
        loss = F.cross_entropy(scores, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        seen += len(token)
        if step % 50 == 0:
            progress.set_postfix(loss=f"{loss.item():.3f}", tokens=f"{seen / 1e6:.1f}M")
    return decoder


@dataclass(frozen=True)
class Config:
    """Make the base model of the laptop world."""
    out: str = "tiny-base"      # Hugging Face folder to write
    steps: int = 3000           # pre-training steps of about 2,100 tokens
    seed: int = 0               # of the corpus order and of the weights


def main(config: Config) -> None:
    torch.set_num_threads(1)    # the model is too small to share, and a busy second core would hold both up
    begin = time.perf_counter()
    tokenizer = build_tokenizer(seed=0)
    decoder = pretrain(tokenizer, config.steps, config.seed)
    # bf16 halves the file; training reads the weights back to fp32
    save(decoder.to(torch.bfloat16), config.out, tokenizer)
    print(f"wrote {config.out} in {(time.perf_counter() - begin) / 60:.1f} minutes")


if __name__ == "__main__":
    main(tyro.cli(Config))
