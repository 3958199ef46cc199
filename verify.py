"""Is this answer right? Responses and gold answers in, rewards of 1.0 or 0.0 out.

    python verify.py --response 'so x = \\boxed{\\frac{64}{5}}' --gold 12.8     what was read, and why it is equal
    python verify.py --file pairs.jsonl                                       one {"response", "gold"} a line

latex.py reads both answers into trees; this file compares the trees. Nothing from outside is ever evaluated as code.
Numbers are compared exactly (fractions of integers) where they are rational; otherwise at 90 digits or more by mpmath,
and expressions with variables at several rational points, so that equal means equal everywhere that both exist.
"""

import json
import math
import os
import random
import re
import resource
import signal
import subprocess
import sys
import threading
from fractions import Fraction
from functools import lru_cache

import mpmath

import latex
from latex import Node, Unreadable, clean, num, parse

MAX_BITS = 50_000            # of any exact intermediate: 2004! has 19,000
PRECISION = 400              # bits
MAX_FACTORIAL = 3_000
DIGITS_SHOWN = 3             # significant digits that a decimal must show to stand for an irrational number


# ---- numbers -------------------------------------------------------------------------------------------------

class Undefined(ArithmeticError):
    """The expression has no finite value at this point (division by zero, logarithm of zero, ...)."""


LOCK = threading.Lock()          # mpmath's context (its precision) is one for all threads


class Evaluator:
    """Value of a tree at a point, exact (Fraction) as long as it is rational, else to `bits` bits (mpmath)."""

    def __init__(self, bits: int):
        self.mp = mpmath.mp
        self.mp.prec = bits
        self.magnitude = 0           # largest log2 seen: how many bits cancellation may cost

    def real(self, x):
        """A Fraction as mpf; mpmath numbers as they are."""
        x = self.mp.mpf(x.numerator) / x.denominator if isinstance(x, Fraction) else x
        if x and self.mp.isfinite(x):
            self.magnitude = max(self.magnitude, int(self.mp.mag(x)))
            if self.magnitude > MAX_BITS:
                raise Unreadable("number too large")
        return x

    def __call__(self, node: Node, at: dict):
        value = self.compute(node, at)
        if isinstance(value, Fraction):
            if value.numerator.bit_length() + value.denominator.bit_length() > MAX_BITS:
                raise Unreadable("number too large")
        elif self.mp.isnan(value):
            raise Undefined("nan")
        return value

    def compute(self, node, at):
        op, args = node
        if op == "num":
            return args[0]
        if op == "sym":
            return at[args[0]]
        if op == "const":
            return {"pi": +self.mp.pi, "e": +self.mp.e, "i": self.mp.j, "inf": self.mp.inf}[args[0]]
        if op == "call":
            return self.call(args[0], [self(a, at) for a in args[1:]])
        if op not in ("add", "mixed", "neg", "mul", "div", "pow", "percent"):
            raise Unreadable(f"no number: {op}")
        values = [self(a, at) for a in args]
        if op == "pow":
            return self.power(*values)
        if not all(isinstance(v, Fraction) for v in values):
            values = [self.real(v) for v in values]
        x, y = values if len(values) == 2 else (values[0], None)
        if op == "div" and y == 0:
            raise Undefined("division by zero")
        return (x + y if op in ("add", "mixed") else -x if op == "neg" else x * y if op == "mul" else
                x / y if op == "div" else x / 100)

    def power(self, x, y):
        if isinstance(x, Fraction) and isinstance(y, Fraction):
            if x == 0 and y <= 0 and not (y == 0):
                raise Undefined("0 to a negative power")
            bits = max(x.numerator.bit_length(), x.denominator.bit_length())
            if y.denominator == 1 and (bits <= 1 or abs(y.numerator) * bits <= MAX_BITS):
                return x ** int(y % 2 if abs(x) == 1 else y)
            if abs(y.numerator) * bits > MAX_BITS:
                raise Unreadable("power too large")
            if y.denominator < 100 and x >= 0 or y.denominator % 2:
                sign = -1 if x < 0 and y.numerator % 2 else 1                 # the real root: (-8)^(1/3) = -2
                top, bottom = (integer_root(abs(n), y.denominator) for n in (x.numerator, x.denominator))
                if top is not None and bottom is not None:
                    return self.power(Fraction(top, bottom), Fraction(y.numerator)) * sign
                return sign * self.mp.power(self.real(abs(x)), self.real(y))
        x, y = self.real(x), self.real(y)
        if x == 0:
            raise Undefined("0 to a power that is no number")
        if abs(y) * (abs(self.mp.mag(x)) + 2) > MAX_BITS:
            raise Unreadable("power too large")
        return self.real(self.mp.power(x, y))

    def call(self, name, args):
        mp, x = self.mp, args[0]
        if name in ("floor", "ceil"):
            if not isinstance(x, Fraction) and mp.im(x) != 0 or abs(x) > 10 ** 40:
                raise Undefined(name)
            rounded = mp.nint(self.real(x))
            x = rounded if abs(rounded - self.real(x)) < mp.mpf(2) ** -150 else self.real(x)
            return Fraction(int(mp.floor(x) if name == "floor" else mp.ceil(x)))
        if name in ("factorial", "binom", "gcd", "lcm"):
            if not all(isinstance(a, Fraction) and a.denominator == 1 and 0 <= a <= MAX_FACTORIAL for a in args):
                raise Undefined(f"{name} of anything but small natural numbers")
            return Fraction(getattr(math, {"binom": "comb"}.get(name, name))(*map(int, args)))
        if name in ("abs", "min", "max") and all(isinstance(a, Fraction) for a in args):
            return {"abs": abs, "min": min, "max": max}[name](*args)
        args = [self.real(a) for a in args]
        if any(abs(a) > 10 ** 6 for a in args) and name not in ("abs", "log", "ln", "min", "max"):
            raise Unreadable("argument too large")
        if name in ("min", "max"):
            return {"min": min, "max": max}[name](*args)
        if name in ("ln", "log") and (0 in args or name == "log" and args[0] == 1):
            raise Undefined("logarithm of zero")
        try:
            return self.real(mp.ln(args[1]) / mp.ln(args[0]) if name == "log" else getattr(mp, MPMATH.get(name, name))(*args))
        except (ZeroDivisionError, ValueError, OverflowError) as error:
            raise Undefined(name) from error


MPMATH = {"abs": "fabs"}


def integer_root(n: int, k: int):
    """The integer r with r^k == n, or None."""
    if k == 1 or n < 2:
        return n
    if k > n.bit_length():
        return None
    low, high = 1, 1 << (n.bit_length() // k + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle ** k <= n else (low, middle - 1)
    return low if low ** k == n else None


def values(nodes, at) -> list:
    """Values of trees at one point (a dict from variable to Fraction), with the bits that cancellation can cost."""
    with LOCK:
        evaluator = Evaluator(PRECISION)
        result = [evaluator(node, at) for node in nodes]
        if evaluator.magnitude > PRECISION // 2:
            evaluator = Evaluator(PRECISION + evaluator.magnitude)
            result = [evaluator(node, at) for node in nodes]
        return result


@lru_cache(maxsize=4096)
def constant(node):
    return values([node], {})[0]


def close(a, b) -> bool:
    """Equal exactly where both are rational, else to 45 digits (absolute for large numbers, relative for small)."""
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return a == b
    a, b = ((mpmath.mpf(x.numerator) / x.denominator if isinstance(x, Fraction) else x) for x in (a, b))
    if mpmath.isinf(a) or mpmath.isinf(b):
        return a == b
    return abs(a - b) <= mpmath.ldexp(min(1, max(abs(a), abs(b))), -150) + mpmath.ldexp(1, -250)


# ---- comparing trees -----------------------------------------------------------------------------------------

def walk(node):
    """Every Node of a tree."""
    yield node
    for arg in node.args:
        for child in arg if type(arg) is tuple else (arg,):
            if type(child) is Node:
                yield from walk(child)
            elif type(child) is tuple:                                       # a row of a matrix
                for cell in child:
                    yield from walk(cell)


def rebuild(node, change):
    """The tree with change(vertex) in place of every vertex, from the leaves up."""
    def visit(arg):
        return rebuild(arg, change) if type(arg) is Node else tuple(map(visit, arg)) if type(arg) is tuple else arg
    return change(Node(node.op, tuple(map(visit, node.args))))


def symbols(*nodes) -> list[str]:
    return sorted({n.args[0] for node in nodes for n in walk(node) if n.op == "sym"})


def points(nodes):
    """Points (dicts) at which trees are compared: in (0, 1), in (0, 9) and of both signs; natural numbers where a
    floor, factorial, binomial or a power of a negative number says that the variables are integers."""
    names = symbols(*nodes)
    integral = any(n.op == "call" and n.args[0] in ("floor", "ceil", "factorial", "binom", "gcd", "lcm")
                   or n.op == "pow" and n.args[0].op == "neg" and not symbols(n.args[0]) for node in nodes for n in walk(node))
    for k in range(20):
        rng = random.Random(k)
        low, high = ((0, 97), (0, 873), (-873, 0), (-873, 873))[k % 4]
        yield {name: Fraction(rng.randrange(1, 12 + k)) if integral else Fraction(rng.randrange(low, high) * 2 + 1, 194)
               for name in names}


def same_function(p, g) -> bool:
    """Whether two expressions with variables agree wherever both are defined (real, unless i occurs)."""
    imaginary = any(n == Node("const", ("i",)) for node in (p, g) for n in walk(node))
    agreed = 0
    for at in points((p, g)):
        try:
            a, b = values([p, g], at)
        except Undefined:
            continue
        if close(a, b):
            agreed += 1
        elif imaginary or not any(mpmath.im(x) for x in (a, b) if not isinstance(x, Fraction)):
            return False
        if agreed == 8:
            break
    return agreed >= 3


def proportional(f, g, positive=False) -> bool:
    """Whether f = 0 and g = 0 (or f < 0 and g < 0: positive) are one equation up to a constant factor."""
    if symbols(f) != symbols(g) or not symbols(f):
        return False
    ratios = []
    for at in points((f, g)):
        try:
            a, b = values([f, g], at)
        except Undefined:
            continue
        if (a == 0) != (b == 0):
            return False
        if a != 0:
            ratios.append(a / b if isinstance(a, Fraction) == isinstance(b, Fraction) else mpmath.mpmathify(a) / mpmath.mpmathify(b))
            if not close(ratios[0], ratios[-1]) or positive and not (mpmath.im(ratios[0]) == 0 and ratios[0] > 0):
                return False
    return len(ratios) >= 3


def ulp(node):
    """Weight of the last digit that a decimal shows, 3.14 -> 1/100 and 4.5 x 10^3 -> 100; None for other trees."""
    if node.op == "neg":
        return ulp(node.args[0])
    if node.op == "mul" and node.args[1].op == "pow" and node.args[1].args[0] == num(10) and ulp(node.args[0]):
        return ulp(node.args[0]) * constant(node.args[1])
    return node.args[1] if node.op == "num" else None


def same_number(p, g) -> bool:
    """Constants: exact, except that a decimal stands for the irrational number that rounds to the digits shown."""
    a, b = constant(p), constant(g)
    if close(a, b):
        return True
    for decimal, x, step in ((a, b, ulp(p)), (b, a, ulp(g))):
        if step and not isinstance(x, Fraction) and isinstance(decimal, Fraction) and mpmath.im(x) == 0:
            enough = abs(decimal / step) >= 10 ** (DIGITS_SHOWN - 1)
            nearby = Fraction(int(mpmath.nint(x * 10 ** 30)), 10 ** 30).limit_denominator(10 ** 6)
            return enough and not close(x, nearby) and abs(x - mpmath.mpmathify(decimal)) * 2 <= mpmath.mpmathify(step)
    return False


def same_scalar(p, g) -> bool:
    return same_function(p, g) if symbols(p, g) else same_number(p, g)


def solutions(node) -> list[Node]:
    """The answers in a list, set, alternative or plus-minus, one by one; anything else is one answer."""
    op, args = node
    if op in ("list", "or", "set"):
        found = [solution for item in args for solution in solutions(item)]
        return found[:1] if op == "or" and all(equal_one(found[0], other) for other in found[1:]) else found
    if op == "rel" and args[0][-1] == "in" and args[1][-1].op in ("set", "pm"):
        return solutions(args[1][-1])
    if op == "named":
        return [Node("named", (*args[:2], body)) for body in solutions(args[2])]
    if op == "unit":
        return [Node("unit", (value, args[1])) for value in solutions(args[0])]
    if op != "tuple" and any(n.op in ("pm", "mp") for n in walk(node)):
        return [rebuild(node, lambda n: n if n.op not in ("pm", "mp") else
                        Node("add", (n.args[0], n.args[1] if (n.op == "pm") == plus else Node("neg", (n.args[1],)))))
                for plus in (True, False)]
    return [node]


def equal(p, g) -> bool:
    """Whether two trees are the same answer: the same solutions in any order, or the same region."""
    if p == g:
        return True
    if any(n.op in ("union", "minus") or n.op == "rel" and set(n.args[0]) - {"="} for n in (*walk(p), *walk(g))):
        mine, theirs = region(p), region(g)
        if mine and theirs:
            return (mine[0] == theirs[0] or None in (mine[0], theirs[0])) and matched(mine[1], theirs[1], same_piece)
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


def equal_one(p, g) -> bool:
    """Whether two single answers are the same; types are respected, names and units may be on one side only."""
    if p == g:
        return True
    units = [node.args[1] for node in (p, g) if node.op == "unit"]
    if units:
        p, g = (node.args[0] if node.op == "unit" else node for node in (p, g))
        return (len(set(units)) == 1 or "count" in units) and equal(p, g)
    p, g = simplify_equation(p), simplify_equation(g)
    if "named" in (p.op, g.op) or "rel" in (p.op, g.op):
        return equal_equations(p, g)
    if "percent" in (p.op, g.op) and p.op != g.op:
        return same_scalar(p, g) or same_scalar(*(n.args[0] if n.op == "percent" else n for n in (p, g)))
    if "ratio" in (p.op, g.op):
        return equal_ratios(p, g)
    if "based" in (p.op, g.op):
        return p.op == g.op and p.args[1] == g.args[1] and p.args[0].lstrip("0") == g.args[0].lstrip("0")
    rows = [as_rows(node) for node in (p, g)]
    if all(rows):
        return [len(r) for r in rows[0]] == [len(r) for r in rows[1]] and all(
            equal(x, y) for r, s in zip(*rows) for x, y in zip(r, s))
    if "tuple" in (p.op, g.op):
        return p.op == g.op and p.args[::2] == g.args[::2] and len(p.args[1]) == len(g.args[1]) and all(
            map(equal, p.args[1], g.args[1]))
    return same_scalar(p, g)


def as_rows(node):
    """Rows of a matrix, of a multiple of one, or of a vector (a, b, c) as a column; None for other trees."""
    if node.op == "matrix":
        return node.args[1] if node.args[0] == "matrix" else None
    if node.op == "tuple" and node.args[::2] == ("(", ")"):
        return tuple((x,) for x in node.args[1])
    if node.op in ("mul", "div", "neg"):
        for k, inner in enumerate(node.args):
            if (rows := as_rows(inner)) and (node.op != "div" or k == 0):
                return tuple(tuple(Node(node.op, (*node.args[:k], x, *node.args[k + 1:])) for x in row) for row in rows)
    return None


def simplify_equation(node):
    """`57+39 = 96` and `S = 2 \\cdot 3 = 6` say their last side, if the equalities between numbers hold."""
    if node.op != "rel" or set(node.args[0]) != {"="}:
        return node
    *sides, last = node.args[1]
    if symbols(last) or not (is_label(sides[0]) or not symbols(sides[0])):
        return node
    return last if all(symbols(side) or equal(side, last) for side in sides) else node


def is_label(node) -> bool:
    """Left sides that only name a quantity: x, AB, f(2), m+n, P(A), |AB|, \\sin A, \\frac{a}{b}."""
    op, args = node
    if op == "mul":
        return is_label(args[0]) and (is_label(args[1]) or args[1].op == "num")
    return op == "sym" or op in ("add", "div", "call") and all(is_label(a) for a in args if type(a) is Node)


def equal_equations(p, g) -> bool:
    """x = 5 and 5; f(x) = 2x and f(t) = 2t and 2x; y = 2x + 1 and 2x - y + 1 = 0; 2x > 4 and x > 2."""
    if p.op == g.op == "named":
        (name, variable, body), (other, variables, value) = p.args, g.args
        if variable and variables and name == other:
            renamed = dict(zip(variables, variable))
            value = rebuild(value, lambda n: Node("sym", (renamed.get(n.args[0], n.args[0]),)) if n.op == "sym" else n)
        if name == other:
            return equal(body, value)
    for one, two in ((p, g), (g, p)):
        if one.op == "named" and two.op not in ("named", "rel"):
            return one.args[0].args[0] not in symbols(one.args[2]) and equal(one.args[2], two)
    sides = [standard_form(node) for node in (p, g)]
    return None not in sides and sides[0][0] == sides[1][0] and proportional(
        sides[0][1], sides[1][1], positive=sides[0][0] != "=")


def standard_form(node):
    """An equation or inequality as (operator, f) meaning `f operator 0`, with > turned round; None if it is neither."""
    if node.op == "named" and node.args[1] is None:
        return "=", Node("add", (node.args[0], Node("neg", (node.args[2],))))
    if node.op != "rel" or len(node.args[0]) != 1 or node.args[0][0] == "in":
        return None
    operator, (left, right) = node.args[0][0], node.args[1]
    if operator in (">", ">="):
        operator, left, right = operator.replace(">", "<"), right, left
    return operator, Node("add", (left, Node("neg", (right,))))


def equal_ratios(p, g) -> bool:
    """3:4 = 6:8 = 3/4. What could be a time of day (3:45) must be the same part by part."""
    if p.op == g.op:
        (a, *p_rest), (b, *g_rest) = p.args, g.args
        time = any(len(n.args) == 2 and n.args[1].op == "num" and n.args[1].args[0] >= 10 for n in (p, g))
        return len(p_rest) == len(g_rest) and all(
            same_scalar(x, y) if time else same_scalar(Node("mul", (x, b)), Node("mul", (y, a)))
            for x, y in zip(p.args if time else p_rest, g.args if time else g_rest))
    p, g = (Node("div", n.args) if n.op == "ratio" and len(n.args) == 2 else n for n in (p, g))
    return "ratio" not in (p.op, g.op) and same_scalar(p, g)


INFINITY = Node("const", ("inf",))
MINUS_INFINITY = Node("neg", (INFINITY,))


def region(node):
    """(variable or None, pieces) of an interval, inequality, union or difference; None for other trees.
    A piece is (left bracket, low, high, right bracket)."""
    op, args = node
    if op == "tuple" and len(args[1]) == 2:
        return None, [(args[0], *args[1], args[2])]
    if op == "set":
        return None, [("[", x, x, "]") for x in args]
    if op == "minus" and region(args[0]) == (None, [("(", MINUS_INFINITY, INFINITY, ")")]) and args[1].op == "set":
        cuts = [MINUS_INFINITY, *sorted(solutions(args[1]), key=constant), INFINITY]
        return None, [("(", low, high, ")") for low, high in zip(cuts, cuts[1:])]
    if op in ("union", "or", "list"):
        parts = [region(item) for item in args]
        if None in parts or len({part[0] for part in parts}) != 1:
            return None
        return parts[0][0], [piece for part in parts for piece in part[1]]
    return inequality(*args) if op == "rel" else None


def inequality(operators, sides):
    """region() of x < a, a <= x < b, x != a and x in region."""
    if operators == ("in",):
        inner = region(sides[1])
        return inner and (sides[0].args[0] if sides[0].op == "sym" else None, inner[1])
    if all(operator in (">", ">=") for operator in operators):
        operators, sides = tuple(o.replace(">", "<") for o in reversed(operators)), sides[::-1]
    where = [k for k, side in enumerate(sides) if side.op == "sym"]
    if len(where) != 1 or sides[where[0]].args[0] in symbols(*(s for s in sides if s.op != "sym")):
        return None
    name, k = sides[where[0]].args[0], where[0]
    if operators == ("!=",):
        return name, [("(", MINUS_INFINITY, sides[1 - k], ")"), ("(", sides[1 - k], INFINITY, ")")]
    if set(operators) - {"<", "<="} or len(sides) > 3 or len(sides) == 3 and k != 1:
        return None
    left = ("(", MINUS_INFINITY) if k == 0 else ("[" if operators[0] == "<=" else "(", sides[0])
    right = (INFINITY, ")") if k == len(sides) - 1 else (sides[-1], "]" if operators[-1] == "<=" else ")")
    return name, [(*left, *right)]


def same_piece(p, g) -> bool:
    return p[0] == g[0] and p[3] == g[3] and equal(p[1], g[1]) and equal(p[2], g[2])


# ---- the public functions ------------------------------------------------------------------------------------

PROSE = re.compile(r"[A-Za-z0-9 ,.:;'\-]*\Z")


def prose(text: str) -> str:
    """Words, dates and times in one spelling ('4:40 a.m.' -> '4:40am'); '' for anything that could be a formula."""
    words = set(re.findall(r"[A-Za-z]{3,}|\b[Nn]o\b|\b[ap]\.?m\b", text))
    return re.sub(r"[\s.']+", "", text).lower() if words - latex.FUNCTIONS.keys() and PROSE.match(text) else ""


def explain(prediction: str, gold: str) -> tuple[bool, str]:
    """(equal?, why)."""
    try:
        p, g = clean(str(prediction)), clean(str(gold))
        if p == g:
            return bool(p), "the same text" if p else "no answer"
        if prose(p) and prose(g) and (prose(p) == prose(g) or not re.search(r"\d", p + g)):
            return prose(p) == prose(g), "compared as words"
        p, g = parse(p), parse(g)
        same = equal(p, g)
        return same, f"read as {latex.render(p)} and {latex.render(g)}"
    except (Unreadable, Undefined) as reason:
        return False, f"unreadable: {reason}"


def is_equivalent(prediction: str, gold: str) -> bool:
    """Whether `prediction` says what `gold` says."""
    return explain(prediction, gold)[0]


BOX = re.compile(r"\\f?box(?:ed)?\s*(?=(\{)|(\\?\w+))")
TAG = "</think>"


def extract_answer(response: str, *, require_box: bool = False) -> str | None:
    """The answer that a response commits to: inside its last box, after </think> where there is one; without a box,
    unless require_box, the final sentence "the answer is ..." or a response that is nothing but an answer."""
    response = response.rpartition(TAG)[2]
    boxes = list(re.finditer(r"\\(?:boxed|fbox)\s*(?:(\{)|([^\s{}]))", response))
    if boxes:
        start = boxes[-1].start(1)
        if start < 0:
            answer = re.match(r"\\[A-Za-z]+|\d+(?:\.\d+)?|.", response[boxes[-1].start(2):])[0]
        else:
            end = latex.closing_brace(response, start)
            answer = response[start + 1:end] if end > 0 else ""
        return answer.strip() or None
    if require_box:
        return None
    sentence = re.search(r"(?:answer|result)\s+is:?\s*([^\n]{1,300}?)\s*[.!]?\s*\Z", response, re.I)
    answer = sentence[1] if sentence else response.strip()
    try:
        return answer if len(answer) < 300 and parse(clean(answer)) else None
    except Unreadable:
        return None


def reward(response: str, gold: str, *, require_box: bool = False, grader: str = "oneshot") -> float:
    """1.0 if the response's answer is the gold answer, else 0.0; safe on any input. grader="paper" is the rule of
    arXiv 2504.20571 (see paper_equivalent), which demands the box."""
    answer = extract_answer(response, require_box=require_box or grader == "paper")
    return float(answer is not None and grade(answer, gold, grader))


def grade(answer: str, gold: str, grader: str) -> bool:
    """The verdict on an extracted answer, as the workers compute it."""
    if grader not in ("oneshot", "paper"):
        raise ValueError(f"grader is 'oneshot' or 'paper', not {grader!r}")
    if grader == "paper":
        return paper_equivalent(answer, gold)
    return is_equivalent(answer, gold) and not is_echo(answer, gold)


def is_echo(answer: str, gold: str) -> bool:
    """Whether an answer leaves the arithmetic undone, 57+39 for 96: a policy would learn to copy the question."""
    def undone(node):
        return node.op == "add" and not symbols(node) or node.op == "mul" and node.args[1].op == "num" and not symbols(node)
    try:
        if re.fullmatch(r"[-\d.,/\s]+", clean(str(gold))):
            node = simplify_equation(parse(clean(answer)))
            return any(undone(n) and all(isinstance(constant(a), Fraction) for a in n.args) for n in walk(node))
    except (Unreadable, Undefined):
        pass
    return False


def paper_equivalent(answer: str, gold: str) -> bool:
    """The reward rule of the paper's code (FACTS.md A4), re-implemented from its measured behaviour."""
    return is_equivalent(answer, gold)


# ---- many at once, in workers that can be killed -------------------------------------------------------------

class Rewards(list):
    """list[float], with the counts of responses whose comparison timed out or failed (their reward is 0.0)."""
    timeouts = 0
    errors = 0


class Worker:
    """A child process that grades one pair a line. It dies of SIGALRM when a pair takes too long, of MemoryError
    above MEMORY bytes, and of end-of-file when its parent is gone; the next pair then gets a new process."""

    def __init__(self):
        self.process = None

    def grade(self, answer, gold, grader, timeout) -> str:
        """'1' or '0', or what went wrong: 'timeout' or 'error'."""
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--worker"], text=True,
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")
        try:
            self.process.stdin.write(json.dumps([answer, gold, grader, timeout]) + "\n")
            self.process.stdin.flush()
            verdict = self.process.stdout.readline().strip()
        except BrokenPipeError:
            verdict = ""
        return verdict or ("timeout" if self.process.wait() == -signal.SIGALRM else "error")


def work():
    """The worker's loop. The alarm keeps its default action, which ends the process even inside a long C call."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGINT, signal.SIG_IGN)             # Ctrl-C is the parent's business
    for line in sys.stdin:
        answer, gold, grader, timeout = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, timeout)
        try:
            verdict = "1" if grade(answer, gold, grader) else "0"
        except Exception as error:                           # reported to the parent and counted there
            verdict = f"error {error!r}"
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(verdict, flush=True)


MEMORY = 2 ** 30
WORKERS = [Worker() for _ in range(2)]
VERDICTS = {}                    # (answer, gold, grader) -> verdict: in 1-shot training few distinct answers occur
POOL = threading.Lock()


def rewards(responses, golds, *, timeout: float = 5.0, require_box: bool = False, grader: str = "oneshot") -> Rewards:
    """reward() of many responses: list of float in their order, with .timeouts and .errors. Pairs of plain numbers are
    compared here, all others once each in worker processes, at most `timeout` seconds a pair."""
    answers = [extract_answer(r, require_box=require_box or grader == "paper") for r in responses]
    keys = [(answer, str(gold), grader) for answer, gold in zip(answers, golds, strict=True)]
    with POOL:
        if len(VERDICTS) > 100_000:
            VERDICTS.clear()
        queue = []
        for key in {key: None for key in keys if key[0] is not None and key not in VERDICTS}:
            if PLAIN.fullmatch(key[0]) and PLAIN.fullmatch(key[1]):
                VERDICTS[key] = "1" if grade(*key) else "0"
            else:
                queue.append(key)

        def drain(worker):
            while queue:
                try:
                    key = queue.pop()
                except IndexError:
                    return
                VERDICTS[key] = worker.grade(*key, timeout)
        threads = [threading.Thread(target=drain, args=(w,)) for w in WORKERS[:len(queue)]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        verdicts = [VERDICTS[key] if key[0] is not None else "0" for key in keys]
    result = Rewards(float(verdict == "1") for verdict in verdicts)
    result.timeouts = verdicts.count("timeout")
    result.errors = sum(verdict.startswith("error") for verdict in verdicts)
    return result


PLAIN = re.compile(r"-?\d{1,18}(?:\.\d{1,18})?|-?\d{1,18}/\d{1,18}")


if __name__ == "__main__":
    if sys.argv[1:] == ["--worker"]:
        work()
