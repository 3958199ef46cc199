"""Answers as trees, and what a tree is worth: Node, its value, and whether two trees are one number or function.

latex.py builds the trees, equality.py compares them as answers; this is the arithmetic between. Values are exact
(Fraction) while they are rational, else mpmath's to 400 bits, of which 150 (45 digits) must agree. Two functions
are one if they agree wherever both are defined, tried at ten fixed points.

Trees come from strangers, so nothing here grows without bound: a power's size is estimated before it is computed,
no number passes MAX_BITS (numerator and denominator) or MAX_MAGNITUDE (irrational), factorials stop at
MAX_FACTORIAL, and functions are looked up in vocabulary.py's list, not by the name in the text. Not sympy: its objects
compute while they are built, 10^{10^9} as well, and importing it takes longer than most answers.
"""

import itertools
import math
import random
import threading
from fractions import Fraction
from typing import NamedTuple

import mpmath

MAX_BITS = 30_000              # of a number: 2004! (a real gold) has 19,000
MAX_MAGNITUDE = 4_000          # bits before the point of an irrational number: 2^{1000} + \sqrt2 has 1,000
MAX_FACTORIAL = 2_500
PRECISION = 400                # bits of irrational numbers; a difference below 2^-150 (45 digits) is rounding
SHOWN = 3                      # significant digits that a decimal must show to stand for an irrational number


class Unreadable(ValueError):
    """The text is not in the grammar, or is larger than an answer may be."""


class Undefined(ArithmeticError):
    """The expression has no value at this point (division by zero, logarithm of zero, ...)."""


class Node(NamedTuple):
    """One vertex. `args` are Nodes, except in num (Fraction, weight of the last digit shown or None),
    sym (name,), const ('pi' | 'e' | 'i' | 'inf',), based (digits, base), unit (Node, name), rel (operators,
    sides), tuple (left, items, right), call (function, *Nodes) and matrix (rows,)."""
    op: str
    args: tuple


def num(value, ulp=None) -> Node:
    return Node("num", (Fraction(value), ulp))


def sym(name) -> Node:
    return Node("sym", (name,))


def negative(node) -> Node:
    return Node("neg", (node,))


def difference(left, right) -> Node:
    return Node("add", (left, negative(right)))


def quotient(top, bottom) -> Node:
    return Node("mul", (top, Node("pow", (bottom, num(-1)))))


NUMBERS = ("num", "sym", "const", "add", "mul", "neg", "percent", "pow", "call", "unit")     # what may have a value
INFINITY = Node("const", ("inf",))
REALS = Node("tuple", ("(", (negative(INFINITY), INFINITY), ")"))


def walk(node):
    """Every Node of a tree, or of a tuple of trees."""
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


def render(node) -> str:
    """The tree on one line, for people and for names such as \\bar{x}."""
    if type(node) is tuple:
        return f"({', '.join(map(render, node))})"
    if type(node) is not Node or node.op in ("num", "sym", "const"):
        return str(node.args[0] if type(node) is Node else node)
    return f"{node.op}({', '.join(map(render, node.args))})"


# ---- the value of a tree ----------------------------------------------------------------------------------

mp = mpmath.mp.clone()         # our own: nobody else's precision changes, nor ours by others


class Evaluator:
    """The value of a tree at a point: exact (Fraction) while it is rational, else to `bits` bits (mpmath)."""

    def __init__(self, bits: int):
        mp.prec = bits
        self.magnitude = 0             # the largest log2 met: how many bits a difference may cancel
        self.complex = False           # whether a value on the way was not real

    def __call__(self, node: Node, at: dict):
        """`at`: {variable: Fraction}. Raises Undefined, or Unreadable for no number or too large a one."""
        op, args = node
        if op == "num":
            return args[0]
        if op == "sym":
            return at[args[0]]
        if op == "const":
            return self.checked({"pi": +mp.pi, "e": +mp.e, "i": mp.j, "inf": mp.inf}[args[0]])
        if op not in NUMBERS:
            raise Unreadable(f"not a number: {op}")
        parts = [self(arg, at) for arg in args if type(arg) is Node]
        if op in ("add", "mul"):
            return self.fold(op, parts)
        return self.checked(parts[0] if op == "unit" else -parts[0] if op == "neg" else
                            parts[0] / 100 if op == "percent" else self.power(*parts) if op == "pow" else
                            self.determinant(parts) if args[0] == "det" else self.call(args[0], parts))

    def fold(self, op, parts):
        """The sum or product of values."""
        total = parts[0]
        for value in parts[1:]:
            if isinstance(total, Fraction) != isinstance(value, Fraction):
                total, value = self.real(total), self.real(value)
            total = self.checked(total + value if op == "add" else total * value)
        return total

    def determinant(self, entries):
        """Of n x n entries, row by row, as the sum over all n! permutations."""
        n = math.isqrt(len(entries))
        products = []
        for order in itertools.permutations(range(n)):
            odd = sum(order[i] > order[j] for i in range(n) for j in range(i, n)) % 2
            products.append(self.fold("mul", [Fraction(-1 if odd else 1),
                                              *(entries[n * row + column] for row, column in enumerate(order))]))
        return self.fold("add", products)

    def checked(self, x):
        """The value itself, unless it is too large or not a number; notes its size and whether it is real."""
        if isinstance(x, Fraction):
            if x.numerator.bit_length() + x.denominator.bit_length() > MAX_BITS:
                raise Unreadable("number too large")
            return x
        if mp.isnan(x):
            raise Undefined("not a number")
        x = x if mp.im(x) else mp.re(x)                        # 0i is no reason to be complex
        self.complex |= bool(mp.im(x))
        if x and mp.isfinite(x):
            self.magnitude = max(self.magnitude, int(mp.mag(x)))
        if self.magnitude > MAX_MAGNITUDE:
            raise Unreadable("number too large")
        return x

    def real(self, x):
        """A Fraction as a float of the working precision; other values as they are."""
        return self.checked(mp.mpf(x.numerator) / x.denominator) if isinstance(x, Fraction) else x

    def power(self, x, y):
        """x^y; roots of rationals are exact if possible, and real if the degree is odd: (-8)^(1/3) = -2."""
        rational = isinstance(x, Fraction) and isinstance(y, Fraction)
        if x == 0 and (not isinstance(y, Fraction) or y < 0):
            raise Undefined("a power of zero")
        if rational and y.denominator == 1 and x in (-1, 0, 1):
            return x ** int(y if x == 0 else y % 2)
        size = max(map(int.bit_length, x.as_integer_ratio())) if rational else mp.mag(self.real(x))
        if x and abs(y) * (abs(size) + 1) > MAX_BITS:
            raise Unreadable("power too large")
        if rational and y.denominator == 1:
            return x ** int(y)
        if rational and (x >= 0 or y.denominator % 2):
            sign = -1 if x < 0 and y.numerator % 2 else 1
            top, bottom = (integer_root(abs(n), y.denominator) for n in x.as_integer_ratio())
            if top is not None and bottom is not None:
                return sign * Fraction(top, bottom) ** y.numerator
            return sign * mp.power(self.real(abs(x)), self.real(y))
        return mp.power(self.real(x), self.real(y))

    def call(self, name, args):
        """The whitelisted function `name` at its values; log has its base first."""
        if name in ("factorial", "binom"):
            if not all(isinstance(a, Fraction) and a.denominator == 1 for a in args) or not (
                    0 <= min(args) <= max(args) <= MAX_FACTORIAL):
                raise Undefined(f"{name} of anything but small natural numbers")
            return Fraction((math.factorial if name == "factorial" else math.comb)(*map(int, args)))
        if name in ("floor", "ceil", "abs") and isinstance(args[0], Fraction):
            return Fraction({"floor": math.floor, "ceil": math.ceil, "abs": abs}[name](args[0]))
        args = [self.real(a) for a in args]
        if name in ("floor", "ceil"):
            if mp.im(args[0]) or mp.isinf(args[0]):
                raise Undefined(name)
            whole = mp.nint(args[0])                       # floor(log_2 8) is 3, whatever the rounding
            exact = abs(args[0] - whole) < mp.ldexp(1, -150)
            return Fraction(int(whole if exact else getattr(mp, name)(args[0])))
        if name in ("ln", "log") and (0 in args or name == "log" and args[0] == 1):
            raise Undefined("a logarithm of zero")
        if name not in ("ln", "log", "abs") and abs(args[0]) > MAX_BITS:
            raise Unreadable("argument too large")
        try:
            return abs(args[0]) if name == "abs" else getattr(mp, name)(*reversed(args))     # log(x, base)
        except (ZeroDivisionError, ValueError) as error:                                     # a pole
            raise Undefined(name) from error


def integer_root(n: int, k: int) -> int | None:
    """The natural number r with r^k == n, if there is one."""
    if n < 2 or k > n.bit_length():
        return n if n < 2 else None
    better = 1 << (n.bit_length() // k + 1)
    root = better + 1
    while better < root:                                       # Newton's method, from above
        root, better = better, ((k - 1) * better + n // better ** (k - 1)) // k
    return root if root ** k == n else None


LOCK = threading.Lock()        # the precision of mp is one for all threads


def values(nodes, at=()) -> tuple[list, bool]:
    """Values of trees at a point {variable: Fraction}, with the bits that cancellation may cost; whether a
    value on the way was not real. Raises Undefined and Unreadable."""
    with LOCK:
        evaluator = Evaluator(PRECISION)
        result = [evaluator(node, dict(at)) for node in nodes]
        if evaluator.magnitude > 32:
            evaluator = Evaluator(PRECISION + evaluator.magnitude)
            result = [evaluator(node, dict(at)) for node in nodes]
        if any(map(tiny, result)):                                           # or zero, as \sqrt6 - \sqrt2\sqrt3
            again = Evaluator(2 * PRECISION + evaluator.magnitude)
            again = [again(node, dict(at)) for node in nodes]
            result = [Fraction(0) if tiny(x) and mp.mag(y) < mp.mag(x) - 100 else y for x, y in zip(result, again)]
        return result, evaluator.complex


def tiny(x) -> bool:
    return not isinstance(x, Fraction) and x != 0 and mp.mag(x) < -200


def close(a, b) -> bool:
    """a = b: exactly where both are rational, else to 45 digits (after the point for large numbers)."""
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return a == b
    a, b = (mp.mpf(x.numerator) / x.denominator if isinstance(x, Fraction) else x for x in (a, b))
    if mp.isinf(a) or mp.isinf(b):
        return a == b
    return abs(a - b) <= mp.ldexp(min(1, max(abs(a), abs(b))), -150)


def sample(p, g):
    """Both trees' values at 10 points: (a, b, real?). The points lie in (0, 1), (0, 9), (-9, 0) and (-9, 9);
    all above 0 for three or more variables without |...|: those are formulas, where r \\sqrt{G \\rho} stands for
    \\sqrt{G \\rho r^2}. They are 30 natural numbers if a factorial, (-1)^n or a floor on both sides says so."""
    calls = [{n.args[0] for n in walk(tree) if n.op == "call"} for tree in (p, g)]
    powers = [n.args[0] for n in walk((p, g)) if n.op == "pow"]
    whole = ((calls[0] | calls[1]) & {"factorial", "binom"} or all(c & {"floor", "ceil"} for c in calls)
             or any(base.op == "neg" and not symbols(base) for base in powers))
    names = symbols(p, g)
    positive = len(names) > 2 and "abs" not in calls[0] | calls[1]
    for k in range(30 if whole else 10):
        rng = random.Random(k)
        low, high = ((0, 97), (0, 873), (-873, 0), (-873, 873))[k % (2 if positive else 4)]
        at = {name: Fraction(2 * rng.randrange(low, high) + 1, 194) for name in names}
        if whole:
            at = {name: Fraction(k + 1 if len(names) == 1 else rng.randrange(1, 12 + k)) for name in names}
        try:
            (a, b), unreal = values((p, g), at)
        except Undefined:
            continue
        yield a, b, not unreal


# ---- one function, one number ------------------------------------------------------------------------------

def same_function(p, g) -> bool:
    """Whether two expressions agree wherever both are defined and real (or complex, if an i is written)."""
    imaginary = Node("const", ("i",)) in walk((p, g))
    agreed = 0
    for a, b, real in sample(p, g):
        if close(a, b):
            agreed += 1
        elif real or imaginary:
            return False
    return agreed >= 3


def proportional(f, g, positive=False) -> bool:
    """Whether f = 0 and g = 0 (f < 0 and g < 0, if positive) are one relation times a constant."""
    first, agreed = None, 0
    for a, b, _ in sample(f, g) if symbols(f) == symbols(g) != [] else ():
        if a == 0 and b == 0:
            continue
        if a == 0 or b == 0 or not (mp.isfinite(a) and mp.isfinite(b)):
            return False
        ratio = mp.mpmathify(a) / mp.mpmathify(b)
        first = first or ratio
        if not close(ratio / first, Fraction(1)) or positive and (mp.im(first) or first < 0):
            return False
        agreed += 1
    return agreed >= 3


def ulp(node):
    """The weight of the last digit that a decimal shows (3.14: 1/100; 4.5e3: 100); None for other trees."""
    if node.op == "neg":
        return ulp(node.args[0])
    if node.op == "mul" and len(node.args) == 2 and node.args[1].args[0] == num(10):
        step = ulp(node.args[0])
        return step and step * values(node.args[1:])[0][0]
    return node.args[1] if node.op == "num" else None


def same_formula(p, g) -> bool:
    """Whether p is a decimal times a formula, and g the number it stands for times that: 0.707c, c / \\sqrt2."""
    if p.op != "mul" or not ulp(p.args[0]):
        return False
    rest = Node("mul", p.args[1:])
    factor = quotient(*(rebuild(tree, lambda n: num(1) if n.op == "sym" else n) for tree in (g, rest)))
    return same_scalar(p.args[0], factor) and same_function(g, Node("mul", (factor, rest)))


def same_scalar(p, g) -> bool:
    """Equal as numbers or functions. A decimal also stands for an irrational number that rounds to it."""
    if symbols(p, g):
        return same_function(p, g) or same_formula(p, g) or same_formula(g, p)
    (a, b), unreal = values((p, g))
    if close(a, b) or unreal:
        return close(a, b)
    for decimal, x, step in ((a, b, ulp(p)), (b, a, ulp(g))):
        if step and isinstance(decimal, Fraction) and not isinstance(x, Fraction) and mp.isfinite(x):
            rational = Fraction(int(mp.nint(x * 10 ** 30)), 10 ** 30).limit_denominator(10 ** 6)
            return (abs(decimal / step) >= 10 ** (SHOWN - 1) and not close(x, rational)
                    and abs(x - mp.mpmathify(decimal)) * 2 <= mp.mpmathify(step))
    return False


