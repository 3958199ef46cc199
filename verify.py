"""Is this answer right? Responses and gold answers in, rewards of 1.0 or 0.0 out.

    python verify.py --response 'so x = \\boxed{\\frac{64}{5}}' --gold 12.8      what was read, and why it is equal or not
    python verify.py --file pairs.jsonl                                        one {"response": ..., "gold": ...} a line

latex.py reads both answers into trees (its own grammar: no answer is ever run as code); this file compares them.
"""

import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from fractions import Fraction

import mpmath

import latex
from latex import Evaluator, Node, Undefined, Unreadable, clean, negative, num, parse, quotient

PRECISION = 400                # bits: differences below 2^-150 (45 digits) are rounding
SHOWN = 3                      # significant digits that a decimal must show to stand for an irrational number
MEMORY = 2 ** 30               # bytes of address space a worker may have
LOCK = threading.Lock()        # mpmath's precision is one for all threads


# ---- numbers and functions -----------------------------------------------------------------------------------

def values(nodes, at=()) -> tuple[list, bool]:
    """Values of trees at a point {variable: Fraction}, with as many bits as cancellation may cost; and whether a value on
    the way was not real."""
    with LOCK:
        evaluator = Evaluator(PRECISION)
        result = [evaluator(node, dict(at)) for node in nodes]
        if evaluator.magnitude > 32:
            evaluator = Evaluator(PRECISION + evaluator.magnitude)
            result = [evaluator(node, dict(at)) for node in nodes]
        return result, evaluator.complex


def close(a, b) -> bool:
    """a = b: exactly where both are rational, else to 45 digits (after the point for large numbers)."""
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return a == b
    a, b = (mpmath.mpmathify(x.numerator) / x.denominator if isinstance(x, Fraction) else x for x in (a, b))
    if mpmath.isinf(a) or mpmath.isinf(b):
        return a == b
    return abs(a - b) <= mpmath.ldexp(min(1, max(abs(a), abs(b))), -150) + mpmath.ldexp(1, -340)


def walk(node):
    """Every Node of a tree (also of a tuple of trees)."""
    if type(node) is Node:
        yield node
    for arg in node.args if type(node) is Node else node if type(node) is tuple else ():
        yield from walk(arg)


def rebuild(node, change):
    """The tree with change(vertex) in place of every vertex, from the leaves up."""
    if type(node) is Node:
        return change(Node(node.op, rebuild(node.args, change)))
    return tuple(rebuild(arg, change) for arg in node) if type(node) is tuple else node


def symbols(*nodes) -> list[str]:
    return sorted({n.args[0] for n in walk(nodes) if n.op == "sym"})


def sample(p, g):
    """Both trees' values at up to 20 points: [(a, b, real?)]. The points lie in (0, 1), (0, 9), (-9, 0) and (-9, 9); they
    are natural numbers where a factorial, a floor or (-1)^n says that the variables are integers."""
    integral = any(n.op == "call" and n.args[0] in ("floor", "ceil", "factorial", "binom", "gcd", "lcm")
                   or n.op == "pow" and n.args[0].op == "neg" and not symbols(n.args[0]) for n in walk((p, g)))
    names = symbols(p, g)
    for k in range(20):
        rng = random.Random(k)
        low, high = ((0, 97), (0, 873), (-873, 0), (-873, 873))[k % 4]
        at = {name: Fraction(rng.randrange(1, 12 + k) if integral else Fraction(2 * rng.randrange(low, high) + 1, 194))
              for name in names}
        try:
            (a, b), unreal = values((p, g), at)
        except Undefined:
            continue
        yield a, b, not unreal


def same_function(p, g) -> bool:
    """Whether two expressions agree wherever both are defined and real (or complex, if an i is written)."""
    imaginary = Node("const", ("i",)) in walk((p, g))
    agreed = 0
    for a, b, real in sample(p, g):
        if close(a, b):
            agreed += 1
        elif real or imaginary:
            return False
        if agreed == 8:
            break
    return agreed >= 3


def proportional(f, g, positive=False) -> bool:
    """Whether f = 0 and g = 0 (f < 0 and g < 0, if positive) are one relation times a constant."""
    ratios = []
    for a, b, _ in sample(f, g) if symbols(f) == symbols(g) != [] else ():
        if close(a, Fraction(0)) or close(b, Fraction(0)):
            if not close(a, b):
                return False
            continue
        if not (mpmath.isfinite(a) and mpmath.isfinite(b)):
            return False
        ratios.append(mpmath.mpmathify(a) / mpmath.mpmathify(b))
        if not close(ratios[-1] / ratios[0], Fraction(1)) or positive and (mpmath.im(ratios[0]) or ratios[0] < 0):
            return False
    return len(ratios) >= 3


def ulp(node):
    """The weight of the last digit that a decimal shows (3.14: 1/100; 4.5e3: 100); None for other trees."""
    if node.op == "neg":
        return ulp(node.args[0])
    if node.op == "mul" and len(node.args) == 2 and node.args[1].op == "pow" and node.args[1].args[0] == num(10):
        return ulp(node.args[0]) and ulp(node.args[0]) * values(node.args[1:])[0][0]
    return node.args[1] if node.op == "num" else None


def same_scalar(p, g) -> bool:
    """Equal as numbers or functions. A decimal also stands for the irrational number that rounds to its digits."""
    if symbols(p, g):
        return same_function(p, g)
    (a, b), unreal = values((p, g))
    if close(a, b) or unreal:
        return close(a, b)
    for decimal, x, step in ((a, b, ulp(p)), (b, a, ulp(g))):
        if step and isinstance(decimal, Fraction) and not isinstance(x, Fraction) and mpmath.isfinite(x):
            rational = Fraction(int(mpmath.nint(x * 10 ** 30)), 10 ** 30).limit_denominator(10 ** 6)
            return (abs(decimal / step) >= 10 ** (SHOWN - 1) and not close(x, rational)
                    and abs(x - mpmath.mpmathify(decimal)) * 2 <= mpmath.mpmathify(step))
    return False


# ---- comparing trees -----------------------------------------------------------------------------------------

def equal(p, g) -> bool:
    """Whether two trees are the same answer: the same region, or the same solutions in any order."""
    if p == g:
        return True
    p, g = as_point(p, g), as_point(g, p)
    if any(n.op in ("union", "minus") or n.op == "rel" and set(n.args[0]) != {"="} for n in walk((p, g))):
        mine, theirs = region(p), region(g)
        if mine and theirs:
            return (mine[0] == theirs[0] or None in (mine[0], theirs[0])) and matched(mine[1], theirs[1], equal_pieces)
    return matched(solutions(p), solutions(g), equal_one)


def matched(p, g, same) -> bool:
    """Whether two lists hold the same things, each as often, in any order."""
    rest = list(g)
    for item in p if len(p) == len(g) else ():
        found = next((k for k, other in enumerate(rest) if same(item, other)), None)
        if found is None:
            return False
        rest.pop(found)
    return len(p) == len(g)


def solutions(node) -> list[Node]:
    """The answers in a list, a set, an alternative or a plus-minus, one by one; anything else is one answer."""
    op, args = node
    if op in ("list", "or", "set"):
        found = [solution for item in args for solution in solutions(item)]
        return found[:1] if op == "or" and all(equal_one(found[0], other) for other in found[1:]) else found
    if op == "rel" and args[0][-1] in ("=", "in") and args[1][-1].op in ("set", "list"):
        return solutions(args[1][-1])
    if op == "unit":
        return [Node("unit", (value, args[1])) for value in solutions(args[0])]
    if op != "tuple" and any(n.op in ("pm", "mp") for n in walk(node)):
        return [rebuild(node, lambda n: n if n.op not in ("pm", "mp") else n.args[0] if n.op == plus else negative(n.args[0]))
                for plus in ("pm", "mp")]
    return [node]


def equal_one(p, g) -> bool:
    """Whether two single answers are the same. Types are respected; a name or a unit may be on one side only."""
    if p == g:
        return True
    units = {n.args[1] for n in (p, g) if n.op == "unit"}
    if units:
        return (len(units) == 1 or "count" in units) and equal(*(n.args[0] if n.op == "unit" else n for n in (p, g)))
    p, g = said(p), said(g)
    if "rel" in (p.op, g.op):
        return equal_relations(p, g)
    if "unit" in (p.op, g.op):
        return equal(p, g)
    if "ratio" in (p.op, g.op):
        return equal_ratios(p, g)
    if (p.op == "percent") != (g.op == "percent") and same_scalar(*(n.args[0] if n.op == "percent" else n for n in (p, g))):
        return True                                                          # 5\% is 5 as well as 0.05
    p_rows, g_rows = as_rows(p), as_rows(g)
    if p_rows and g_rows:
        return [len(r) for r in p_rows] == [len(r) for r in g_rows] and all(
            equal(x, y) for r, s in zip(p_rows, g_rows) for x, y in zip(r, s))
    if "tuple" in (p.op, g.op):
        return p.op == g.op and p.args[::2] == g.args[::2] and len(p.args[1]) == len(g.args[1]) and all(
            map(equal, p.args[1], g.args[1]))
    return same_scalar(p, g)


def as_point(node, other):
    """x = 2, y = 3 as the point (2, 3) where the other side is a point; else the tree itself."""
    if other.op == "tuple" and node.op == "list" and all(n.op == "rel" and n.args[0] == ("=",) and is_name(n.args[1][0])
                                                         for n in node.args):
        names = [n.args[1][0] for n in node.args]
        if all(name.op == "sym" for name in names) and names == sorted(set(names)):
            return Node("tuple", ("(", tuple(n.args[1][1] for n in node.args), ")"))
    return node


def as_rows(node):
    """The rows of a matrix, of a multiple of one, or of a vector (a, b, c) as a column; None for other trees."""
    if node.op == "matrix":
        return node.args[1] if node.args[0] == "matrix" else None
    if node.op == "tuple" and node.args[::2] == ("(", ")"):
        return tuple((x,) for x in node.args[1])
    for k, inner in enumerate(node.args if node.op in ("mul", "neg") else ()):
        if rows := as_rows(inner):
            return tuple(tuple(Node(node.op, (*node.args[:k], x, *node.args[k + 1:])) for x in row) for row in rows)
    return None


def said(node):
    """A chain of equations says its last side if it is true: 57+39 = 96 says 96, and S = 2 \\cdot 3 = 6 says S = 6."""
    if node.op != "rel" or set(node.args[0]) != {"="} or symbols(node.args[1][-1]):
        return node
    *sides, last = node.args[1]
    known = [side for side in sides if not symbols(side)]
    if not all(equal(side, last) for side in known):
        return node
    return last if len(known) == len(sides) else Node("rel", (("=",), (sides[0], last))) if is_name(sides[0]) else node


def is_name(node) -> bool:
    """Left sides that only name a quantity: x, (x, y), AB, f(2), m+n, P(A), |AB|, \\sin A."""
    op, args = node
    if op == "mul":
        return is_name(args[0]) and all(is_name(a) or a.op == "num" for a in args[1:])
    return op == "sym" or op in ("add", "call", "tuple") and all(map(is_name, args[1] if op == "tuple" else (
        a for a in args if type(a) is Node)))


def equal_relations(p, g) -> bool:
    """x = 5 and 5; f(x) = 2x and f(t) = 2t and 2x; y = 2x+1 and 2x-y+1 = 0; 2x > 4 and x > 2."""
    for one, other in ((p, g), (g, p)):
        if other.op != "rel":                                                # a name may be on one side only
            name, body = one.args[1][0], one.args[1][-1]
            return one.args[0] == ("=",) and is_name(name) and symbols(name)[0] not in symbols(body) and equal(body, other)
    if p.args[0] == g.args[0] == ("=",):
        (name, body), (other, value) = p.args[1], g.args[1]
        if name.op == other.op == "mul" and name.args[0] == other.args[0] and is_name(name):      # f(x) and f(t)
            new = dict(zip(other.args[1:], name.args[1:]))
            return equal(body, rebuild(value, lambda n: new.get(n, n)))
        if name == other and is_name(name):
            return equal(body, value)
    if len(p.args[0]) != 1 or len(g.args[0]) != 1:
        return False
    (less, f), (as_well, h) = standard_form(p), standard_form(g)
    return less == as_well and proportional(f, h, positive=less in ("<", "<="))


def standard_form(node):
    """A relation as (operator, f), meaning f operator 0, with > turned round."""
    operator, (left, right) = node.args[0][0], node.args[1]
    left, right = (right, left) if operator[0] == ">" else (left, right)
    return operator.replace(">", "<"), Node("add", (left, negative(right)))


def equal_ratios(p, g) -> bool:
    """3:4 = 6:8 = 3/4; but what could be a time of day (3:45) is compared part by part."""
    if p.op != g.op:
        p, g = (quotient(*n.args) if n.op == "ratio" and len(n.args) == 2 else n for n in (p, g))
        return "ratio" not in (p.op, g.op) and same_scalar(p, g)
    time = any(len(n.args) == 2 and n.args[1].op == "num" and n.args[1].args[0] >= 10 for n in (p, g))
    one = num(1)
    return len(p.args) == len(g.args) and all(
        same_scalar(quotient(x, one if time else p.args[0]), quotient(y, one if time else g.args[0])) for x, y in zip(p.args, g.args))


INFINITY = Node("const", ("inf",))


def region(node):
    """(variable or None, pieces) of an interval, inequality, union or difference; None for other trees.
    A piece is (left bracket, low, high, right bracket)."""
    op, args = node
    if op == "tuple" and len(args[1]) == 2:
        return None, [(args[0], *args[1], args[2])]
    if op == "set":
        return None, [("[", x, x, "]") for x in args]
    if op == "minus" and args[0] == parse("\\mathbb{R}") and args[1].op == "set" and not symbols(args[1]):
        cuts = sorted(solutions(args[1]), key=lambda cut: values([cut])[0][0])
        return None, [("(", low, high, ")") for low, high in zip([negative(INFINITY), *cuts], [*cuts, INFINITY])]
    if op in ("union", "or", "list"):
        parts = [region(item) for item in args]
        same = None not in parts and len({part[0] for part in parts}) == 1
        return (parts[0][0], [piece for part in parts for piece in part[1]]) if same else None
    if op == "rel" and args[0] == ("in",):
        inner = region(args[1][1])
        return inner and (args[1][0].args[0] if args[1][0].op == "sym" else None, inner[1])
    return inequality(*args) if op == "rel" else None


def inequality(operators, sides):
    """region() of x < a, a <= x < b and x != a, either way round."""
    if all(operator[0] == ">" for operator in operators):
        operators, sides = [o.replace(">", "<") for o in reversed(operators)], sides[::-1]
    k = next((k for k, side in enumerate(sides) if side.op == "sym"), None)
    if k is None or len(sides) > 3 or len(sides) == 3 and k != 1 or sides[k].args[0] in symbols(*sides[:k], *sides[k + 1:]):
        return None
    name = sides[k].args[0]
    if list(operators) == ["!="]:
        return name, [("(", negative(INFINITY), sides[1 - k], ")"), ("(", sides[1 - k], INFINITY, ")")]
    if set(operators) - {"<", "<="}:
        return None
    low = ("[" if operators[0] == "<=" else "(", sides[0]) if k else ("(", negative(INFINITY))
    high = (sides[-1], "]" if operators[-1] == "<=" else ")") if k < len(sides) - 1 else (INFINITY, ")")
    return name, [(*low, *high)]


def equal_pieces(p, g) -> bool:
    return p[::3] == g[::3] and equal(p[1], g[1]) and equal(p[2], g[2])


# ---- the verdict on one answer -------------------------------------------------------------------------------

def prose(text: str) -> str:
    """Words, dates and times in one spelling ('4:40 a.m.' is '4:40am'); '' for anything that could be a formula."""
    words = set(re.findall(r"[A-Za-z]{3,}|\b[Nn]o\b|\b[apAP]\.?[mM]\b", text)) - latex.FUNCTIONS.keys()
    return re.sub(r"[\s.']+", "", text).lower() if words and re.fullmatch(r"[A-Za-z0-9 ,.:;'\-]*", text) else ""


CHOICE = re.compile(r"\(([A-E])\) *([^-+*/^=A-E]*)")
DATE = re.compile(r"\d{4}-\d\d?-\d\d?|\d\d?/\d\d?/\d{4}|\d\d?-\d\d?-\d{4}")


def explain(prediction: str, gold: str) -> tuple[bool, str]:
    """(equal?, how both were read)."""
    try:
        p, g = clean(str(prediction)), clean(str(gold))
        if p == g:
            return p != "", f"the same text {p!r}"
        if prose(p) and prose(g) and (prose(p) == prose(g) or not re.search(r"\d", p + g)):
            return prose(p) == prose(g), f"the words {p!r} and {g!r}"
        if DATE.fullmatch(p) or DATE.fullmatch(g):
            return False, "dates are compared as text"
        p, g = parse(p), parse(g)
        return equal(p, g), f"{latex.render(p)} and {latex.render(g)}"
    except (Unreadable, Undefined) as reason:
        return False, f"{type(reason).__name__}: {reason}"


def is_equivalent(prediction: str, gold: str) -> bool:
    """Whether `prediction` says what `gold` says (see the top of the file); symmetric, and False for what can't be read."""
    return explain(prediction, gold)[0]
BOX = re.compile(r"\\(?:boxed|fbox)\s*(?:\{|(\\[A-Za-z]+|-?\d+(?:\.\d+)?|[^\s{}]))")
JOINED = re.compile(r"(?:[\s$,;.]|\\[()\[\],]|\\text\s*\{|\}|and)*(,|or|and)(?:[\s$]|\\[()\[\],]|\}|or|and)*")
SENTENCE = re.compile(r".*\banswer(?:\s+is\b:?|\s*:)\s*([^\n]{1,300}?)[\s.*]*\Z", re.I | re.S)


def extract_answer(response: str, *, require_box: bool = False) -> str | None:
    """The answer that a response commits to, after </think> where there is one: what its last \boxed or \fbox holds
    (boxes joined by "or", "and" or a comma are one answer), None if that box is empty or never closed. Without any box,
    unless require_box: the end of a final sentence "the answer is ...", or a response that is nothing but an answer."""
    response = response.rpartition("</think>")[2]
    answers, end = [], 0
    for box in BOX.finditer(response):
        if box.start() < end and not box[1]:
            answers = []                                                     # a box inside the last one
        elif answers and not JOINED.fullmatch(response[end:box.start()]):
            answers = []
        end = box.end() if box[1] else latex.closing_brace(response, box.end() - 1)
        answers.append(box[1] or response[box.end():end].strip())
        if end < 0:
            return None
    if answers or require_box:
        return (" or ".join(answers) if all(answers) else None) or None
    sentence = SENTENCE.match(response[-400:])
    candidate = sentence[1] if sentence else response.strip()
    try:
        text = clean(candidate)
        words = set(re.findall(r"(?<!\\)\b[A-Za-z]{2,}", text)) - latex.KNOWN - latex.UNITS.keys() - {"per", "or", "and"}
        return candidate if len(text) <= 300 and parse(text) and (not words or text.isalpha()) else None
    except Unreadable:
        return None


def is_echo(answer: str, gold: str) -> bool:
    """Whether the answer to a plain number is a sum, difference or product of plain numbers left undone: 57+39 for 96 is
    equal, but it may be the question itself, and a policy that is paid for it learns to copy the question."""
    gold, answer = clean(gold), said(parse(clean(answer)))
    if not re.fullmatch(r"[-\d.,/ ]+|-?\\frac *\{\d+\} *\{\d+\}", gold) or symbols(answer):
        return False
    return any(n.op == "add" and all(isinstance(values([a])[0][0], Fraction) for a in n.args)
               or n.op == "mul" and sum(a.op == "num" for a in n.args) > 1 for n in walk(answer))


def grade(answer: str, gold: str, grader: str = "oneshot") -> bool:
    """The verdict on an extracted answer."""
    if grader == "paper":
        return paper_equivalent(answer, gold)
    if not is_equivalent(answer, gold):
        return False
    try:
        return not is_echo(answer, gold)
    except Unreadable:                                                       # equal as words
        return True


def reward(response: str, gold: str, *, require_box: bool = False, grader: str = "oneshot") -> float:
    """1.0 if the response's answer is the gold answer, else 0.0, on any input. Trainers set require_box, as the paper's
    reward does. grader="paper" is the paper's own rule, for comparing runs: see paper_equivalent."""
    answer = extract_answer(response, require_box=require_box or grader == "paper")
    return float(answer is not None and grade(answer, gold, grader))


# ---- the paper's rule ----------------------------------------------------------------------------------------

PAPER_UNITS = (r"(?:degree|cm|centimeter|meter|mile|second|minute|hour|day|week|month|year|foot|feet|inch|yard)(?:es|s)?"
               r" *(?:\^[0-9]+)?")


def paper_equivalent(answer: str, gold: str) -> bool:
    """The reward rule of arXiv 2504.20571's code, after its measured behaviour (FACTS.md A4): the same string after
    normalising, or the same number. Unlike ours it drops what follows "\text{ " ("2 \text{ or } 4" is 2), the name before
    "=", and every percent sign; fractions must be reduced, integers written as integers, and units must be in \text."""
    def normal(text):
        text = re.sub(r"\\text\{ .*|\\[!$%]|\\left|\\right|\^\{?\\circ\}?|[$%]|\n", "", text)
        text = re.sub(r"^\s*\w{1,2}\s*=", "", re.sub(r"\\[dt]frac", r"\\frac", text))
        text = re.sub(r"\\frac *(?:\{([^{}]*)\}|(\d)) *(?:\{([^{}]*)\}|(\d))", r"\\frac{\1\2}{\3\4}", text)
        text = re.sub(r"^\s*(-?)(\d+) */ *(\d+)\s*$", r"\1\\frac{\2}{\3}", text)
        return re.sub(r"\s", "", re.sub(r"\\frac\{-(\d+)\}", r"-\\frac{\1}", text))

    mine, theirs = normal(answer), normal(gold)
    if mine == theirs:
        return mine != ""
    plain = re.sub(r"\.0+$", "", re.sub(PAPER_UNITS, "", normal(re.sub(r"^\s*\\text\{(.*)\}\s*$", r"\1", answer))))
    integer, fraction = re.compile(r"-?[\d,]+"), re.compile(r"-?\\frac\{\d+\}\{\d+\}")
    if integer.fullmatch(theirs) or fraction.fullmatch(theirs) and fraction.fullmatch(plain):
        return plain.replace(",", "") == theirs.replace(",", "")
    letters = set(re.findall("[a-z]", re.sub(r"\\[a-z]+", "", plain.lower())))
    if len(letters) > 2 or re.search(r"\^[{(]|\\text|\\approx", plain):
        return False
    try:
        p, g = parse(clean(plain)), parse(clean(theirs))
        return p == g or all(n.op not in ("list", "or", "rel", "unit") for n in (p, g)) and close_trees(p, g)
    except (Unreadable, Undefined):
        return False


def close_trees(p, g) -> bool:
    if p.op == g.op == "tuple":
        return p.args[::2] == g.args[::2] and len(p.args[1]) == len(g.args[1]) and all(map(close_trees, p.args[1], g.args[1]))
    return same_function(p, g) if symbols(p, g) else close(*values((p, g))[0])


# ---- many at once, in processes that can be killed -----------------------------------------------------------

class Rewards(list):
    """list[float], with the counts of responses whose comparison timed out or failed (their reward is 0.0)."""
    timeouts = 0
    errors = 0


class Worker:
    """A child process that grades one pair a line. The child carries its own bomb: SIGALRM ends it when a pair takes too
    long (also inside one long C call, and when the parent is gone), end-of-file when the parent closes or dies. The next
    pair then gets a new process. A program of its own, not a fork: safe beside threads and torch."""

    def __init__(self):
        self.process = None

    def grade(self, *request) -> str:
        """Send (answer, gold, grader, timeout): 'right' or 'wrong', or 'timeout', or 'error' and which."""
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--worker"], encoding="utf-8",
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            verdict = self.process.stdout.readline().strip()
        except BrokenPipeError:                                              # killed since the last pair
            verdict = ""
        return verdict or ("timeout" if self.process.wait() == -signal.SIGALRM else "error: the worker died")


def work() -> None:
    """The child's loop: JSON lines in, verdicts out."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGINT, signal.SIG_IGN)                             # Ctrl-C is the parent's business
    for line in sys.stdin:
        *pair, timeout = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, timeout)                        # SIGALRM's default action: the end
        try:
            verdict = "right" if grade(*pair) else "wrong"
        except Exception as error:                                           # told to the parent, which counts it
            verdict = f"error: {error!r}"
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(verdict, flush=True)


WORKERS, POOL = [Worker(), Worker()], threading.Lock()
VERDICTS = {}                    # (answer, gold, grader) -> verdict: in 1-shot training few distinct answers occur
PLAIN = re.compile(r"-?\d{1,18}(?:\.\d{1,18})?(?:/\d{1,18})?|-?\\frac\{\d{1,18}\}\{\d{1,18}\}")


def rewards(responses, golds, *, timeout: float = 5.0, require_box: bool = False, grader: str = "oneshot") -> Rewards:
    """reward() of many responses, in their order, with .timeouts and .errors. Plain numbers are compared here, every other
    distinct pair once in a worker process, for at most `timeout` seconds. From any thread, on any rank."""
    if grader not in ("oneshot", "paper") or timeout <= 0:
        raise ValueError(f"grader is 'oneshot' or 'paper' and timeout is positive, not {grader!r} and {timeout}")
    answers = [extract_answer(r, require_box=require_box or grader == "paper") for r in responses]
    keys = [(answer, str(gold), grader) for answer, gold in zip(answers, golds, strict=True)]
    with POOL:
        if len(VERDICTS) > 100_000:
            VERDICTS.clear()
        queue = []
        for key in dict.fromkeys(keys):
            if key[0] is None:
                VERDICTS[key] = "wrong"
            elif key not in VERDICTS and PLAIN.fullmatch(key[0]) and PLAIN.fullmatch(key[1]):
                VERDICTS[key] = "right" if grade(*key) else "wrong"
            elif key not in VERDICTS:
                queue.append(key)
        threads = [threading.Thread(target=drain, args=(worker, queue, timeout)) for worker in WORKERS[:len(queue)]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        verdicts = [VERDICTS[key] for key in keys]
    result = Rewards(float(verdict == "right") for verdict in verdicts)
    result.timeouts, result.errors = verdicts.count("timeout"), sum(v.startswith("error") for v in verdicts)
    return result


def drain(worker, queue, timeout) -> None:
    """Grade from the shared queue until it is empty (list.pop is atomic)."""
    while True:
        try:
            key = queue.pop()
        except IndexError:
            return
        VERDICTS[key] = worker.grade(*key, timeout)


# ---- command line --------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Config:
    """Grade one response, or a file of them."""
    response: str | None = None        # a model's response
    gold: str | None = None            # the gold answer
    file: str | None = None            # or: JSON lines with the fields "response" and "gold"
    require_box: bool = False          # no box is no answer
    grader: str = "oneshot"            # or "paper": the rule of the paper's code


def main() -> int:
    import tyro                        # not at the top: the workers start faster without it

    config = tyro.cli(Config)
    pairs = []
    try:
        if config.grader not in ("oneshot", "paper"):
            raise ValueError("--grader is oneshot or paper")
        if (config.file is None) == (config.response is None or config.gold is None):
            raise ValueError("give --response and --gold, or --file")
        for k, line in enumerate(open(config.file, encoding="utf-8") if config.file else [], 1):
            try:
                row = json.loads(line)
                pairs.append((row["response"], str(row["gold"])))
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{config.file}, line {k}: needs the fields response and gold ({error!r})") from error
    except (OSError, ValueError) as error:
        print(f"verify.py: {error}", file=sys.stderr)
        return 2
    for response, gold in pairs or [(config.response, config.gold)]:
        answer = extract_answer(response, require_box=config.require_box or config.grader == "paper")
        right = reward(response, gold, require_box=config.require_box, grader=config.grader)
        how = "no answer found" if answer is None else explain(answer, gold)[1]
        print(f"{right:.0f}  answer {answer!r}, gold {gold!r}: {'equal' if right else 'not equal'}; {how}")
    return 0


if __name__ == "__main__":
    sys.exit(work() if sys.argv[1:] == ["--worker"] else main())
