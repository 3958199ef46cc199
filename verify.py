"""Is this answer right? Responses and gold answers in, rewards of 1.0 or 0.0 out.

    python verify.py --response 'so \\boxed{\\frac{64}{5}}' --gold 12.8     right or wrong, and what was read
    python verify.py --file pairs.jsonl                       one {"response": ..., "gold": ...} a line

This file finds the answer and pays. What it says and whether that is the gold answer take four steps, a file each
in answers/: vocabulary.py (one spelling), latex.py (text -> tree), tree.py (a tree's worth), equality.py (two trees).
The grammar is our own: no answer is ever run as code, and every size is bounded. Where conventions differ:

numbers     exactly: 20161 is not 20160, 12.8000001 is not 12.8, 0.333 is not 1/3 (0.\\overline{3} is).
            A decimal of three or more significant digits also equals an irrational number that rounds to it.
percent     5\\% is 0.05 and not 5: a factor of 100 is never forgiven. log is to base 10, ln natural.
lists       "1, 2", "1 or 2", \\{1, 2\\} and "x = 1 or x = 2" are one answer, unordered, each as often; \\pm 2
            is two. (1, 2) is ordered, may be a column vector, is no [1, 2]. In brackets 1,234 is two numbers.
intervals   1 < x \\le 2, "x > 1 and x \\le 2", x \\in (1, 2], ]1, 2] and (1, 2] are one; if both name their variable it
            must be the same. A comma between inequalities is "and", unless that leaves nothing: then "or".
systems     x = 1, y = 2 (also as \\begin{cases}) is the point (1, 2).
equations   "name =" may be on one side only (x = 5 is 5, not y = 5); equations are equal up to a factor.
functions   agree wherever both are defined and real; f(x) = x^2 is f(t) = t^2. n! says that n is an integer, three
            or more letters without |...| that they are positive: r\\sqrt{ab} is \\sqrt{abr^2}, x is not \\sqrt{x^2}.
units       may be on one side only; two different ones (cm, cm^2) differ. Degrees are a unit except in \\sin.
bases       4210_5 equals only 4210_5. Words ignore case, letters don't. Dates and times are text.
arithmetic  57+39 equals 96, but reward() does not pay it for 96: it may be the question itself.
"""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from answers.equality import equal, last_side
from answers.latex import parse
from answers.tree import Undefined, Unreadable, close, render, same_function, symbols, values, walk
from answers.vocabulary import FUNCTIONS, KNOWN, UNITS, clean, closing_brace

# ---- the verdict on one answer -----------------------------------------------------------------------------

DATE = re.compile(r"\d{4}-\d\d?-\d\d?|\d\d?/\d\d?/\d{4}|\d\d?-\d\d?-\d{4}")
TIME = re.compile(r"\d\d?:[0-5]\d")
CHOICE = re.compile(r"\(?([A-E])\)(?! ?(?:or\b|and\b|[+*/,;=^])) ?([^A-Z]*)")


def prose(text: str) -> str:
    """Words, dates and times in one spelling ('4:40 a.m.' is '4:40am'); '' for what could be a formula."""
    words = set(re.findall(r"[A-Za-z]{3,}|\b[Nn]o\b|\b[apAP]\.?[mM]\b", text)) - FUNCTIONS.keys()
    plain = words and re.fullmatch(r"[A-Za-z0-9 ,.:;'\-]*", text)
    text = re.sub(r"^(?:an?|the) ", "", text.lower())
    return re.sub(r"\.(?!\d)|'|(?<!\d) | (?!\d)", "", text) if plain else ""


def chosen(text: str, other: str) -> str:
    """Of a choice with its value, "(C) 27", the part that the other side has: C or 27. Raises Unreadable."""
    choice = CHOICE.fullmatch(text)
    if not choice:
        return text
    letter, value = choice.groups()
    if not value or parse(value) and re.fullmatch(r"\(?[A-E]\)?", other):
        return letter
    return text if CHOICE.fullmatch(other) else value


def explain(prediction: str, gold: str) -> tuple[bool, str]:
    """(equal?, how both were read)."""
    try:
        p, g = clean(str(prediction)), clean(str(gold))
        if p == g:
            return p != "", f"the same text {p!r}"
        if prose(p) and prose(g) and (prose(p) == prose(g) or not re.search(r"\d", p + g)):
            return prose(p) == prose(g), f"the words {p!r} and {g!r}"
        if DATE.fullmatch(p) or DATE.fullmatch(g) or TIME.fullmatch(p) and TIME.fullmatch(g):
            return p.lstrip("0") == g.lstrip("0"), f"the dates or times {p!r} and {g!r}"
        p, g = parse(chosen(p, g)), parse(chosen(g, p))
        return equal(p, g), f"{render(p)} and {render(g)}"
    except (Unreadable, Undefined) as reason:
        return False, f"{type(reason).__name__}: {reason}"


def is_equivalent(prediction: str, gold: str) -> bool:
    """Whether `prediction` says what `gold` says (see the top of this file). Symmetric; what can't be read
    equals nothing but its own text."""
    return explain(prediction, gold)[0]


BOX = re.compile(r"\\(?:boxed|fbox)\s*(?:\{|(\\[A-Za-z]+|-?\d+(?:\.\d+)?|[^\s{}]))")
JOINED = re.compile(r"(?:[\s$;.]|\\[()\[\],]|\\text\s*\{)*(?:,|or|and)"
                    r"(?:[\s$]|\\[()\[\],]|\}|or|and|maybe|perhaps|possibly)*")
SENTENCE = re.compile(r".*\banswer(?:\s+is\b:?|\s*:)[\s*]*([^\n]{1,300}?)[\s.*]*\Z", re.I | re.S)


def extract_answer(response: str, *, require_box: bool = False) -> str | None:
    """The answer that a response commits to, after </think> where there is one: what its last \\boxed or
    \\fbox holds (boxes joined by "or", "and" or a comma are one answer), None if that is empty or not closed.
    Without a box, unless require_box: the end of a final sentence "the answer is ...", or a response that is
    nothing but an answer."""
    response = response.rpartition("</think>")[2]
    answers, end = [], 0
    for box in list(BOX.finditer(response))[-20:]:                           # there may be thousands, nested
        if not JOINED.fullmatch(response[end:box.start()]):                  # also a box inside the last one
            answers = []
        end = box.end() if box[1] else closing_brace(response, box.end() - 1) + 1
        answers.append(box[1] or response[box.end():end - 1].strip() if end else "")
    if answers or require_box:
        return " or ".join(answers) if answers and all(answers) else None
    sentence = SENTENCE.match(response[-400:])
    candidate = sentence[1] if sentence else response.strip()
    try:
        text = clean(candidate)
        words = set(re.findall(r"(?<!\\)\b[A-Za-z]{2,}", text)) - KNOWN - UNITS.keys() - {"per", "or", "and"}
        return candidate if len(text) <= 300 and (text.isalpha() or not words and parse(text)) else None
    except Unreadable:
        return None


def is_echo(answer: str, gold: str) -> bool:
    """Whether the gold is a plain number, and the answer a sum, difference or product of numbers left undone.
    57+39 equals 96, but a policy that is paid for it learns to copy the question."""
    gold, answer = clean(gold), last_side(parse(clean(answer)))
    if not re.fullmatch(r"[-\d.,/ ]+|-?\\frac *\{\d+\} *\{\d+\}", gold) or symbols(answer):
        return False
    return any(n.op == "add" and all(isinstance(values([a])[0][0], Fraction) for a in n.args)
               or n.op == "mul" and sum(a.op == "num" for a in n.args) > 1 for n in walk(answer))


PLAIN = re.compile(r"-?\d{1,18}(?:\.\d{1,18}|/[1-9]\d{0,17})?|-?\\frac\{\d{1,18}\}\{[1-9]\d{0,17}\}")


def plain_number(text: str) -> Fraction:
    """The value of what PLAIN matches."""
    return Fraction(text.replace(r"\frac{", "").replace("}{", "/").removesuffix("}"))


def grade(answer: str, gold: str, grader: str = "oneshot") -> bool:
    """The verdict on an extracted answer."""
    if grader == "paper":
        return paper_equivalent(answer, gold)
    if grader != "oneshot":
        raise ValueError(f"grader is 'oneshot' or 'paper', not {grader!r}")
    if PLAIN.fullmatch(answer) and PLAIN.fullmatch(gold):                    # most answers; the grammar says the same
        return plain_number(answer) == plain_number(gold)
    try:
        return is_equivalent(answer, gold) and not is_echo(answer, gold)
    except (Unreadable, Undefined):                                          # equal as text, but no formula
        return True


def reward(response: str, gold: str, *, require_box: bool = False, grader: str = "oneshot") -> float:
    """1.0 if the response's answer is the gold answer, else 0.0, on any input. Trainers set require_box, as
    the paper's reward does. grader="paper" is the paper's own rule, to compare runs: see paper_equivalent."""
    answer = extract_answer(response, require_box=require_box or grader == "paper")
    return float(answer is not None and grade(answer, gold, grader))


# ---- the paper's rule --------------------------------------------------------------------------------------

PAPER_UNITS = (r"(?:degree|cm|centimeter|meter|mile|second|minute|hour|day|week|month|year|foot|feet|inch|"
               r"yard)(?:es|s)? *(?:\^\d+)?")
PAPER_STEPS = [(re.compile(pattern), to) for pattern, to in (
    (r"\\text\{ .*|\\[!$%]|\\left|\\right|\^\{?\\circ\}?|[$%\n]", ""), (r"\\[dt]frac", r"\\frac"),
    (r"^\s*\w{1,2}\s*=", ""),
    (r"\\frac *(?:\{([^{}]*)\}|(\d)) *(?:\{([^{}]*)\}|(\d))", r"\\frac{\1\2}{\3\4}"), (r"\s", ""),
    (r"^(-?)(\d+)/(\d+)$", r"\1\\frac{\2}{\3}"), (r"\\frac\{-(\d+)\}", r"-\\frac{\1}"))]


def paper_equivalent(answer: str, gold: str) -> bool:
    """The reward rule of arXiv 2504.20571's code, after its measured behaviour: the same string after
    normalising, or the same number. Unlike ours it drops what follows "\\text{ " ("2 \\text{ or } 4" is 2), a
    short name before "=" and every percent sign; fractions must be reduced, integers written as such, units
    be in \\text."""
    def normal(text):
        for pattern, to in PAPER_STEPS:
            text = pattern.sub(to, text)
        return text

    mine, theirs = normal(answer), normal(gold)
    if mine == theirs:
        return mine != ""
    mine = re.sub(r"\.0+$", "", re.sub(PAPER_UNITS, "", mine))
    fraction = re.compile(r"-?\\frac\{\d+\}\{\d+\}")
    if re.fullmatch(r"-?[\d,]+", theirs) or fraction.fullmatch(theirs) and fraction.fullmatch(mine):
        return mine.replace(",", "") == theirs.replace(",", "")
    letters = set(re.findall("[a-z]", re.sub(r"\\[a-z]+", "", mine.lower())))
    if len(letters) > 2 or re.search(r"\^[{(]|\\text|\\approx|=|,(?!\d{3})", mine):
        return False
    try:
        p, g = parse(clean(mine)), parse(clean(theirs))
        return p == g or same_function(p, g) if symbols(p, g) else close(*values((p, g))[0])
    except (Unreadable, Undefined):
        return False


# ---- many at once, in processes that can be killed ---------------------------------------------------------

class Rewards(list):
    """list[float], with the counts of responses whose grading timed out or failed (their reward is 0.0)."""
    timeouts = 0
    errors = 0


class Worker:
    """A child process that grades one pair a line. It carries its own bomb: SIGALRM ends it when a pair takes
    too long (also inside a long C call, also when the parent is gone), end-of-file when the parent dies; the
    next pair then gets a new process. A program of its own, not a fork: safe beside threads and torch."""

    def __init__(self):
        self.process, self.lock = None, threading.Lock()

    def grade(self, *request) -> str:
        """Send (answer, gold, grader, timeout); get 'right' or 'wrong', 'timeout', or 'error: ...'."""
        with self.lock:
            try:
                if self.process is None or self.process.poll() is not None:
                    self.process = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--worker"],
                                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                self.process.stdin.write(json.dumps(request) + "\n")
                self.process.stdin.flush()
                verdict = self.process.stdout.readline().strip()
            except OSError as error:                                         # no process, or just killed
                return f"error: {error!r}"
            late = not verdict and self.process.wait() == -signal.SIGALRM
            return verdict or ("timeout" if late else "error: the worker died")


def work() -> None:
    """The child's loop: JSON lines in, verdicts out."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGINT, signal.SIG_IGN)                             # Ctrl-C is the parent's business
    signal.signal(signal.SIGALRM, signal.SIG_DFL)                            # the end, whatever was inherited
    for line in sys.stdin:
        *pair, timeout = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, timeout)
        try:
            verdict = "right" if grade(*pair) else "wrong"
        except Exception as error:                                           # the parent counts it
            verdict = f"error: {error!r}"
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(verdict, flush=True)


MEMORY = 2 ** 30                 # bytes of address space for a worker
WORKERS, POOL = [Worker(), Worker()], threading.Lock()
VERDICTS = {}                    # (answer, gold, grader) -> verdict: 1-shot training meets few distinct ones


def rewards(responses, golds, *, timeout: float = 5.0, require_box: bool = False,
            grader: str = "oneshot") -> Rewards:
    """reward() of many responses, in their order, with .timeouts and .errors. Plain numbers are compared
    here, other pairs once each in a worker, for at most `timeout` seconds. From any thread, on any rank."""
    if grader not in ("oneshot", "paper") or timeout <= 0:
        raise ValueError(f"needs grader 'oneshot' or 'paper' and timeout > 0, not {grader!r}, {timeout}")
    answers = [extract_answer(r, require_box=require_box or grader == "paper") for r in responses]
    keys = [(answer, str(gold), grader) for answer, gold in zip(answers, golds, strict=True)]

    def drain(worker, share):
        VERDICTS.update((key, worker.grade(*key, timeout)) for key in share)

    with POOL:
        if len(VERDICTS) > 100_000:
            VERDICTS.clear()
        new = [key for key in dict.fromkeys(keys) if key[0] is not None and key not in VERDICTS]
        plain = [key for key in new if PLAIN.fullmatch(key[0]) and PLAIN.fullmatch(key[1])]
        VERDICTS.update((key, "right" if grade(*key) else "wrong") for key in plain)
        rest = [key for key in new if key not in VERDICTS]
        threads = [threading.Thread(target=drain, args=(worker, rest[k::len(WORKERS)]))
                   for k, worker in enumerate(WORKERS[:len(rest)])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        verdicts = [VERDICTS[key] if key[0] is not None else "wrong" for key in keys]
        for key in rest:
            if VERDICTS[key].startswith("error"):                            # bad luck is not remembered
                del VERDICTS[key]
    result = Rewards(float(verdict == "right") for verdict in verdicts)
    result.timeouts, result.errors = verdicts.count("timeout"), sum(v.startswith("error") for v in verdicts)
    return result


# ---- command line ------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Config:
    """Grade one response, or a file of them."""
    response: str | None = None        # a model's response
    gold: str | None = None            # the gold answer
    file: str | None = None            # or: JSON lines with the fields "response" and "gold"
    require_box: bool = False          # no box is no answer
    grader: Literal["oneshot", "paper"] = "oneshot"    # whose rule: ours, or that of the paper's code


def pairs(config: Config):
    """(response, gold) of the options; ValueError or OSError, in one line, for bad input."""
    if (config.file is None) == (config.response is None or config.gold is None):
        raise ValueError("give --response and --gold, or --file")
    if config.file is None:
        yield config.response, config.gold
        return
    for k, line in enumerate(Path(config.file).read_text(encoding="utf-8").split("\n"), 1):
        try:
            if line.strip():
                yield str((row := json.loads(line))["response"]), str(row["gold"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{config.file}, line {k}: response and gold are needed ({error!r})") from error


def main(config: Config) -> int:
    try:
        for response, gold in list(pairs(config)):
            answer = extract_answer(response, require_box=config.require_box or config.grader == "paper")
            right = answer is not None and grade(answer, gold, config.grader)
            read = explain(answer, gold)[1] if answer is not None else "nothing: no answer found"
            print(f"{'right' if right else 'wrong'}: answer {answer!r}, gold {gold!r}; read as {read}")
    except (OSError, ValueError) as error:
        print(f"verify.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--worker"]:
        sys.exit(work())
    import tyro                        # not at the top: a worker starts without it
    sys.exit(main(tyro.cli(Config)))
