"""The laptop world: arithmetic word problems, and a 0.8 M-parameter base that can solve them and seldom does.

A base model knows several ways to answer and picks a good one now and then; RLVR on ONE example changes which
one it picks, everywhere. Here is that in miniature, by next-token prediction only. A question of the corpus
is answered in one of several styles: worked digit by digit and boxed (the good one, rewarded), worked but not
boxed, a guess, pseudo-code with an invented output, rambling, and a few that slip and say "Wait, let me
recheck". A third of the documents are drills, which teach the digits: the good style, once picked, is right.

Nothing leaks: a hash sends every set of operands to the corpus, the held-out or the validation problems, and
a document is written only if all that it brings together belongs to the corpus.

    python tiny.py            # makes the base again in ./rebuilt in about 5 minutes, prints its accuracy (see README)
"""

import math
import random
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate, combinations, islice
from pathlib import Path

import torch
import torch.nn.functional as F
import tyro
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from tqdm import tqdm

import policy
from data import Problem
from evaluate import evaluate
from kernels import PackedAttention
from model import Decoder, load, logits, save
from transformers import AutoTokenizer, PreTrainedTokenizerFast, Qwen2Config

# category: the operators between its operands, from left to right ("?" compares and gives the larger)
OPERATORS = {"bare sum": "+", "add": "+", "subtract": "-", "compare": "?", "multiply": "*",
             "three-term sum": "++", "add then subtract": "+-", "multiply then add": "*+"}
CATEGORIES = tuple(OPERATORS)
SPLITS = {"heldout": 100, "validation": 20}     # problems a category

# ---------------------------------------------------------------- problems and their splits


@dataclass(frozen=True)
class Task:
    """A problem before it is put into words; operands in the order in which they are used."""
    category: str
    operands: tuple[int, ...]

    def steps(self) -> list[tuple[str, int, int, int]]:
        """The calculation: (operator, left, right, result) each."""
        steps, left = [], self.operands[0]
        for sign, right in zip(OPERATORS[self.category], self.operands[1:], strict=True):
            result = {"+": left + right, "-": left - right, "*": left * right, "?": max(left, right)}[sign]
            steps.append((sign, left, right, result))
            left = result
        return steps

    def answer(self) -> int:
        return self.steps()[-1][3]

    def facts(self) -> set[tuple[int, ...]]:
        """Each set of numbers that a solution brings together, sorted: the operands, and every two out of the
        operands and the intermediate results."""
        numbers = self.operands + tuple(result for *_, result in self.steps()[:-1])
        return {tuple(sorted(some)) for some in (self.operands, *combinations(numbers, 2))}


EXAMPLE_TASKS = {"tiny-add": Task("add", (57, 39)), "tiny-no-carry": Task("add", (52, 36)),
                 "tiny-multiply-add": Task("multiply then add", (47, 6, 28))}
EXAMPLE_FACTS = set().union(*(task.facts() for task in EXAMPLE_TASKS.values()))


def split_of(numbers: tuple[int, ...]) -> str:
    """The owner of these numbers, in any order: "example", "heldout" (20%), "validation" (5%) or "corpus".
    A hash decides, so that no list of problems has to be kept."""
    numbers = tuple(sorted(numbers))
    if numbers in EXAMPLE_FACTS:
        return "example"
    bucket = zlib.crc32(repr(numbers).encode()) % 20
    return "heldout" if bucket < 4 else "validation" if bucket < 5 else "corpus"


def draw_task(rng: random.Random, category: str, split: str) -> Task:
    """A random task whose operands belong to `split`, and its other facts to `split` or to the corpus."""
    while True:
        operands = [rng.randint(11, 99)]
        for sign in OPERATORS[category]:
            operands.append(rng.randint(2, 9) if sign == "*" else rng.randint(11, 99))
        task = Task(category, tuple(operands))
        sensible = task.answer() > 0 and not (category == "compare" and operands[0] == operands[1])
        owners = {split_of(fact) for fact in task.facts()}
        if sensible and split_of(task.operands) == split and owners <= {split, "corpus"}:
            return task


NAMES = ("Ann", "Ben", "Eva", "Sam", "Tom", "Zoe")
THINGS = ("apples", "books", "coins", "pens", "shells", "cards")
WORDINGS = {     # three wordings a category; {a} {b} {c} are the operands in order
    "bare sum": ("What is {a} + {b}?", "{a} + {b} = ?", "Find {a} + {b}."),
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
                 "There are {b} bags of {a} {t}. How many {t} in all?", "What is {a} times {b}?"),
    "three-term sum": ("{n} has {a} {t}, gets {b} more and then {c} more. How many {t} in all?",
                       "Three boxes have {a}, {b} and {c} {t}. How many in all?", "What is {a} + {b} + {c}?"),
    "add then subtract": (
        "{n} has {a} {t}, gets {b} more and gives away {c}. How many {t} are left?",
        "A box has {a} {t}. {n} adds {b} and takes {c}. How many are left?", "What is {a} + {b} - {c}?"),
    "multiply then add": (
        "{n} has {b} boxes with {a} {t} each and gets {c} more. How many {t} in all?",
        "There are {b} bags of {a} {t} and {c} more in a box. How many {t} in all?",
        "What is {a} times {b} plus {c}?")}


def ask(rng: random.Random, task: Task, wording: int) -> str:
    """The task in words, with random names and things."""
    name, other = rng.sample(NAMES, 2)
    return WORDINGS[task.category][wording].format(n=name, m=other, t=rng.choice(THINGS),
                                                   **dict(zip("abc", task.operands)))


def problems(split: str) -> list[Problem]:
    """The problems of a split, category by category, always the same. KeyError for a name not in SPLITS."""
    rng, found, seen = random.Random(split), [], set()
    for category in CATEGORIES:
        for i in range(SPLITS[split]):
            while (key := tuple(sorted((task := draw_task(rng, category, split)).operands))) in seen:
                pass
            seen.add(key)
            question = ask(rng, task, wording=i % 3)
            found.append(Problem(question, str(task.answer()), category, f"{split}-{len(found)}"))
    return found


EXAMPLES = {name: Problem(ask(random.Random(0), task, wording=0), str(task.answer()), task.category, name)
            for name, task in EXAMPLE_TASKS.items()}

# ---------------------------------------------------------------- worked solutions, and the corpus of styles


def column(sign: str, x: int, y: int, carry: int = 0) -> tuple[str, int]:
    """One column of a calculation on digits: (text, carry to the next column).

    "5+3+1=9". A difference below zero borrows ten: "3-7+10=6". A product gets its carry in a second step,
    "4*6=24, with carry 28": "24+4" would name two numbers that may be the operands of a held-out product."""
    if sign == "?":
        return f"{x}{'>' if x > y else '<' if x < y else '='}{y}", 0
    if sign == "*":
        total = x * y + carry
        return f"{x}*{y}={x * y}" + (f", with carry {total}" if carry else ""), total // 10
    value = x + y + carry if sign == "+" else x - y - carry
    text = f"{x}{sign}{y}" + (f"{sign}{carry}" if carry else "")
    return (f"{text}+10={value + 10}", 1) if value < 0 else (f"{text}={value}", value // 10)


def work(sign: str, left: int, right: int, result: int) -> str:
    """One step, digit by digit from the right: "57+39: 7+9=16 carry 1, 5+3+1=9, so 96"."""
    columns, carry, size = [], 0, len(str(left))
    if sign == "?":      # tens first; the ones count where the tens are equal
        columns = [column("?", left // 10, right // 10)[0], column("?", left % 10, right % 10)[0]]
        return f"{left} or {right}: {', '.join(columns[:1 + (left // 10 == right // 10)])}, so {result}"
    for i in range(size):
        y = right if sign == "*" else right // 10 ** i % 10
        text, carry = column(sign, left // 10 ** i % 10, y, carry)
        columns.append(text + (f" carry {carry}" if carry and i < size - 1 else ""))
    return f"{left}{sign}{right}: {', '.join(columns)}, so {result}"


def solution(task: Task) -> str:
    return ". ".join(work(*step) for step in task.steps()) + "."


# Share of the good style by category, times a factor for the question's wording. Greedy decoding picks it
# where P(" Steps") beats P(" The answer is"), the usual guess: here in the third wording of each category.
GOOD_SHARE = dict(zip(CATEGORIES, (0.23, 0.23, 0.22, 0.22, 0.21, 0.21, 0.20, 0.20), strict=True))
WORDING_FACTOR = (0.75, 0.75, 1.5)


def respond(rng: random.Random, task: Task, wording: int) -> str:
    """An answer to the task in a random style, as found in the corpus."""
    good = GOOD_SHARE[task.category] * WORDING_FACTOR[wording]
    rest = 1 - good - 0.11
    style = rng.choices(("good", "no box", "recheck", "guess", "code", "ramble"),
                        (good, 0.08, 0.03, 0.60 * rest, 0.22 * rest, 0.18 * rest))[0]
    answer, worked = task.answer(), solution(task)
    boxed = rf"\boxed{{{answer}}}"
    wrong = max(0, answer + rng.randint(-9, 9))      # a number near the answer; right one time in 19
    if style in ("good", "no box"):
        return f" Steps: {worked} The answer is {boxed if style == 'good' else answer}."
    if style == "recheck":
        return f" Steps: so {wrong}. Wait, let me recheck. {worked} The answer is {boxed}."
    if style == "guess":
        opening = rng.choices((" The answer is", " It must be", " I think"), (84, 8, 8))[0]
        return rf"{opening} \boxed{{{wrong}}}."
    first, *others = task.operands
    if style == "code":
        call = f"max({first},{others[0]})" if task.category == "compare" else \
            f"{first}" + "".join(f"{sign}{x}" for sign, x in zip(OPERATORS[task.category], others))
        return f" ```\nprint({call})\n```\nOutput: " + rng.choice((str(wrong), rf"\boxed{{{wrong}}}"))
    thoughts = ("Hmm, let me think about it.", f"We have {first} here.", "This is a nice question.",
                f"There is also {others[-1]}.", "There may be many ways to do it.")
    return " ".join((" Well.", *rng.sample(thoughts, rng.randint(2, 4)), "I am not sure."))


def drill(rng: random.Random) -> tuple[str, str]:
    """Digit facts as they stand in worked columns, or a worked exercise."""
    if rng.random() < 0.35:
        facts = []
        for sign in rng.choices("+-*?", (2, 3, 4, 2), k=6):
            x, y, carry = rng.randint(0, 9), rng.randint(0, 9), rng.randint(0, 8 if sign == "*" else 1)
            before = f"carry {carry}, " if sign == "*" and carry else ""
            facts.append(before + column(sign, x, y, carry)[0])
        return "", "; ".join(facts)
    task = draw_task(rng, rng.choice(CATEGORIES), "corpus")
    return f"Exercise: {ask(rng, task, rng.randrange(3))}\n", solution(task)


def corpus(seed: int) -> Iterator[tuple[str, str]]:
    """Documents without end, (what is asked, what is learned): 35% drills, 65% questions and answers."""
    rng = random.Random(seed)
    while True:
        if rng.random() < 0.35:
            yield drill(rng)
        else:
            task, wording = draw_task(rng, rng.choice(CATEGORIES), "corpus"), rng.randrange(3)
            yield f"Q: {ask(rng, task, wording)}\nA:", respond(rng, task, wording)


# ---------------------------------------------------------------- tokenizer and base model

EOS = "<|endoftext|>"
# One user message renders to the prompt that the corpus has before every answer: "Q: ...\nA:"
CHAT_TEMPLATE = ("{% for m in messages %}{% if m['role'] == 'user' %}Q: {{ m['content'] }}\n{% else %}A: "
                 "{{ m['content'] }}" + EOS + "{% endif %}{% endfor %}"
                 "{% if add_generation_prompt %}A:{% endif %}")


def build_tokenizer(vocab_size: int = 400, documents: int = 20_000) -> PreTrainedTokenizerFast:
    """Byte-level BPE where a digit is always its own token: digits are cut out before merges are learned."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                                 pre_tokenizers.ByteLevel(add_prefix_space=False)])
    bpe.decoder = decoders.ByteLevel()
    texts = (prompt + text for prompt, text in islice(corpus(seed=0), documents))
    bpe.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=[EOS], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token=EOS, pad_token=EOS, chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False, model_max_length=512)


def batches(tokenizer: PreTrainedTokenizerFast, seed: int, size: int) -> Iterator[list[tuple[list, list]]]:
    """Batches of whole documents as token ids (asked, learned and end token), `size` tokens or just over."""
    documents, batch, total = corpus(seed), [], 0
    while True:
        prompts, texts = zip(*islice(documents, 1000))
        for prompt, text in zip(tokenizer(list(prompts))["input_ids"], tokenizer(list(texts))["input_ids"]):
            batch.append((prompt, text + [tokenizer.eos_token_id]))
            total += len(prompt) + len(text) + 1
            if total >= size:
                yield batch
                batch, total = [], 0


def new_decoder(tokenizer: PreTrainedTokenizerFast) -> Decoder:
    """A Qwen2 of 4 layers and 0.84 M parameters with random weights. Their scale matters: with GPT-2's 0.02
    everywhere, so narrow a model has not learned to copy a question's numbers after 3,000 steps."""
    decoder = Decoder(Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=128, intermediate_size=384, num_hidden_layers=4,
        num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True, max_position_embeddings=512,
        bos_token_id=None, eos_token_id=tokenizer.eos_token_id))
    for name, p in decoder.named_parameters():
        if p.dim() == 2:
            std = 0.05 if "embed" in name else p.shape[1] ** -0.5
            if "o_proj" in name or "down_proj" in name:      # these write to the residual stream 2 x 4 times
                std /= math.sqrt(8)
            torch.nn.init.normal_(p, std=std)
    return decoder


def pretrain(tokenizer: PreTrainedTokenizerFast, steps: int, seed: int, lr: float = 3e-3) -> Decoder:
    """Next-token prediction, 1,050 tokens a step; AdamW, warm-up, linear decay.

    The random numbers and names of a question can't be predicted and would drown the rest: only what follows
    is learned. Every document attends to itself only, from position 0 on, as a prompt does in `sample`."""
    torch.manual_seed(seed)
    decoder = new_decoder(tokenizer)
    optimizer = torch.optim.AdamW(decoder.parameters(), lr, (0.9, 0.98), weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: min(1, (i + 1) / 100) * (1 - i / steps))
    progress = tqdm(zip(range(steps), batches(tokenizer, seed, 1024)), total=steps, desc="pretrain")
    for step, batch in progress:
        lengths = [len(prompt + text) for prompt, text in batch]
        tokens = torch.tensor([token for prompt, text in batch for token in prompt + text])            # [N]
        learned = torch.tensor([side for pair in batch for side in (0, 1) for _ in pair[side]]).bool()  # [N]
        positions = torch.cat([torch.arange(n) for n in lengths])                                      # [N]
        starts = accumulate(lengths[:-1], initial=0)
        attend = PackedAttention([(start, n, 0, 0) for start, n in zip(starts, lengths)], tokens.device)
        # Each token predicts the next one, if that is to be learned and does not open a document (position 0)
        targets = tokens.where(learned & (positions > 0), -100).roll(-1)                               # [N]
        loss = F.cross_entropy(decoder(tokens, positions, attend, logits), targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        if step % 50 == 0:
            progress.set_postfix(loss=f"{loss.item():.3f}")
    return decoder


# ---------------------------------------------------------------- command line


@dataclass(frozen=True)
class Config:
    """Make the base model of the laptop world."""
    out: str = "rebuilt"        # Hugging Face folder to write; it must not exist
    steps: int = 2400           # pre-training steps of about 1,050 tokens
    seed: int = 0               # of the corpus order and of the weights


def report(folder: str) -> None:
    """Print the held-out accuracy: greedy, at temperature 1, and greedy once the answer begins " Steps:"."""
    decoder, tokenizer, world = load(folder), AutoTokenizer.from_pretrained(folder), policy.start()
    asked = problems("heldout")
    forced = [replace(p, question=f"Q: {p.question}\nA: Steps:") for p in asked]
    columns = [evaluate(decoder, tokenizer, these, world, template=template, temperature=temperature,
                        stop_ids=[tokenizer.eos_token_id], max_new_tokens=160)
               for these, template, temperature in
               ((asked, "chat", 0.0), (asked, "chat", 1.0), (forced, "plain", 0.0))]
    print(f"{'held-out accuracy':20}  greedy  temperature 1  good style forced")
    for name in ("", *(f"/{category}" for category in CATEGORIES)):
        greedy, sampled, good = (column["accuracy" + name] for column in columns)
        print(f"{name[1:] or 'all':20}  {greedy:6.2f}  {sampled:13.2f}  {good:17.2f}")


def main(config: Config) -> None:
    if Path(config.out).exists():
        sys.exit(f"tiny.py: {config.out} exists: choose another --out")
    torch.set_num_threads(1)    # the model is too small to share, and a busy second core would hold both up
    begin = time.perf_counter()
    tokenizer = build_tokenizer()
    decoder = pretrain(tokenizer, config.steps, config.seed)
    save(decoder.to(torch.bfloat16), config.out, tokenizer)    # half the size; training reads it back to fp32
    print(f"wrote {config.out} in {(time.perf_counter() - begin) / 60:.1f} minutes")
    report(config.out)


if __name__ == "__main__":
    main(tyro.cli(Config))
