"""What an answer says, and whether two say the same: text -> clean() -> parse() -> Node -> equal().

A recursive-descent parser over a whitelist grammar. Nothing that it reads is run, looked up or imported: the
result is a `Node(op, args)`, and what is not in the grammar raises `Unreadable`. Reading takes time linear in
the length (at most MAX_CHARS) at a bounded depth, and the Evaluator refuses a number before it grows past
MAX_BITS. `equal` compares trees as answers: exactly where they are rational, else by mpmath to 45 digits, and
with variables at several points, so that equal means equal wherever both are defined. (Not with sympy: its
objects compute while they are built, 10^{10^9} as well, and importing it takes longer than most answers.)

    answer  := item ((',' | ';' | 'or' | 'and') item)*              several solutions
    item    := side (('=' | '<' | '\\le' | '\\in' ...) side)*
    side    := measure (('\\cup' | '\\setminus' | ':') measure)*
    measure := sum [unit]                                           3.2 \\text{ cm}^2
    sum     := ['-'] term (('+' | '-' | '\\pm') term)*
    term    := power (['\\cdot' | '/'] power)*                       side by side multiplies; 1/2x is (1/2)x
    power   := atom ('^' script | '!' | '%' | '^\\circ')*
    atom    := number | word | '(' items ')' | '\\{' items '\\}' | '|' sum '|' | matrix
"""

import itertools
import math
import random
import re
import threading
from fractions import Fraction
from functools import cache
from typing import NamedTuple

import mpmath

MAX_CHARS, MAX_DEPTH, MAX_DIGITS = 2000, 25, 1000
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
    sides), tuple (left, items, right), call (function, *Nodes) and matrix (kind, rows)."""
    op: str
    args: tuple


def num(value, ulp=None) -> Node:
    return Node("num", (Fraction(value), ulp))


def negative(node) -> Node:
    return Node("neg", (node,))


def quotient(top, bottom) -> Node:
    return Node("mul", (top, Node("pow", (bottom, num(-1)))))


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


# ---- vocabulary: the whole of it ---------------------------------------------------------------------------

UNICODE = str.maketrans({pair[0]: pair[2:] + " " * pair[-1].isalpha() for pair in r"""
    −:- –:- —:- ‐:- ×:\times ÷:\div ·:\cdot ⋅:\cdot ∙:\cdot ∗:* °:^\circ º:^\circ π:\pi ∞:\infty ≤:\le ≥:\ge
    ⩽:\le ⩾:\ge ≠:\ne ≈:\approx ∪:\cup ⋃:\cup ∈:\in ±:\pm ∓:\mp ℝ:\mathbb{R} ∅:\emptyset ′:' ’:' ⌊:\lfloor
    ⌋:\rfloor ⌈:\lceil ⌉:\rceil ∠:\angle ⟨:\langle ⟩:\rangle …:\ldots ¢:cents £:\pounds €:\euro ，:, ％:% （:(
    ）:) ＝:= ；:; ：:: ＋:+ ∖:\setminus ½:\frac{1}{2} ⅓:\frac{1}{3} ⅔:\frac{2}{3} ¼:\frac{1}{4} ¾:\frac{3}{4}
    α:\alpha β:\beta γ:\gamma δ:\delta ε:\epsilon θ:\theta λ:\lambda μ:\mu ρ:\rho σ:\sigma τ:\tau φ:\phi
    ω:\omega Δ:\Delta Ω:\Omega""".split()}
                        | dict.fromkeys("\u00a0\u2009\u202f\u3000", " "))
SCRIPTS = (("^", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻ⁿ", "0123456789-n"), ("_", "₀₁₂₃₄₅₆₇₈₉", "0123456789"))
SYMBOLS = set("""alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi
    rho sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega
    hbar ell odot""".split())
TRIG = ("sin", "cos", "tan", "cot", "sec", "csc")
FUNCTIONS = ({f: f for f in (*TRIG, "sinh", "cosh", "tanh", "ln", "log", "exp", "abs", "floor", "ceil")}
             | {arc + t: "a" + t for arc in ("arc", "a") for t in TRIG} | {"lg": "log"})
CONSTANTS = {"pi": "pi", "infty": "inf", "infinity": "inf", "inf": "inf"}
KNOWN = {*FUNCTIONS, *CONSTANTS, "sqrt"}
RELATIONS = {r"=|\\equiv": "=", r"\\approx|\\simeq": "~",
             r"<=|\\leqslant|\\leq|\\le": "<=", r">=|\\geqslant|\\geq|\\ge": ">=",
             r"<|\\lt": "<", r">|\\gt": ">", r"!=|\\neq|\\ne": "!=", r"\\in": "in"}

# A group a unit: its name, then its other spellings. Letters in ( ) count only in \text, \mathrm or after /.
# The group "count" holds nouns that only say what was counted: they are read and forgotten.
UNITS = {word.strip("()"): group.split()[0].strip("()") for group in """
    degree degrees deg; dollar dollars USD; pounds; euro euros; cent cents; mm millimeter millimeters; cm
    centimeter centimeters centimetre centimetres; km kilometer kilometers kilometre kilometres; (m) meter
    meters metre metres; nm nanometer nanometers; in inch inches; ft foot feet; yd yard yards; mi mile
    miles; (s) second seconds sec secs; min minute minutes mins; (h) hour hours hr hrs; day days; week
    weeks; month months; year years yr yrs; kg kilogram kilograms; (g) gram grams; mg; lb lbs; oz ounce
    ounces; ton tons; (L) liter liters litre litres; mL ml milliliters; gallon gallons; (N) newton newtons;
    (J) joule joules; kJ; cal calories; kcal; eV; keV; MeV; erg ergs; (W) watt watts; kW; (V) volt volts
    Volt Volts; (A) ampere amperes amps; Hz hertz; kHz; MHz; Pa; kPa; (K) kelvin; (C) coulomb coulombs; (F)
    farad; angstrom angstroms AA; mol mole moles; amu; rad radian radians; arcsec arcsecs arcsecond
    arcseconds; arcmin arcminutes; parsec parsecs pc; bit bits; mph; kph; rpm; Gyr; count unit units ways
    way people persons students divisors factors solutions points pairs triangles integers numbers sides
    apples oranges books games cards coins marbles children men women boys girls times digits terms zeros
    rolls balls tickets pieces choices values squares lines edges vertices faces diagonals arrangements
    permutations subsets cookies pages cars eggs votes atoms photons steps moves outcomes handshakes bushels
    magnitude magnitudes
    """.split(";") for word in group.split()}


# ---- one spelling for each thing ---------------------------------------------------------------------------

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
THOUSANDS = re.compile(r"(?<![\d.,}!])\d{1,3}(?:(?:\{,\}|,\s*\\!|\\,|\\ |~| )\s*\d{3})+(?!\d)")
STYLE = re.compile(r"\\(?:(?:display|text|script)style|(?:no)?limits|rm|bf|it|left|right|[bB]igg?[lrm]?|"
                   r"q?quad|thinspace|boldsymbol|math(?:bf|it|sf|cal)|vec|overrightarrow|hat|bm|therefore|"
                   r"triangle)(?![A-Za-z])\.?|(?<!\\)\\[!;:,> ]|~")
TEXT = re.compile(r"\\(?:text(?:bf|it|rm|normal)?|mathrm|[mh]box|operatorname\*?)\s*(?:\{([^{}]*)\}|(\w))")
REWRITES = [(re.compile(pattern), to) for pattern, to in (
    (r"\s+", " "), (r"√ ?(\d+|[a-zA-Z])", r"\\sqrt{\1}"), ("√", r"\\sqrt"),
    (r"(?<=\d) ?\.\.\.", r"\\ldots "), (r"\\\$", r"\\dollar "), (r"\$|(?<!\\)\\[()\[\]]", " "),
    (r"\\boxed(?= ?\{)", ""),
    (r"\\lbrace(?![a-z])", r"\\{"), (r"\\rbrace(?![a-z])", r"\\}"), (r"\\[dtc](frac|binom)", r"\\\1"),
    (r"\\frac ?\{ ?(\\(?:text|mathrm) ?\{\w+\}) ?\} ?\{ ?(\\(?:text|mathrm) ?\{\w+\}) ?\}", r"\1/\2"),
    (r"\\backslash(?![a-z])|-(?= ?\\\{)", r"\\setminus "), (r"\b(?:np|numpy|math|sympy)\.(?=[a-z])", ""),
    (r"\ball real numbers\b", r"\\mathbb R"), (r"\bno (?:real )?solutions?\b", r"\\emptyset "),
    (r"\bpercent\b", "%"), (r"\bmillion\b", r"\\cdot 10^6"), (r"\bbillion\b", r"\\cdot 10^9"))]
ENDING = re.compile(r"(?:[.,;:\s]|\\\\|\\$)+$|(?:,|\bwhere|\bfor) *[a-z] *\\in *\\mathbb *\{?[ZN]\}?[.\s]*$")
LABEL = re.compile(r"^(?:(?!not\b)[A-Za-z]?[a-z]{3,}(?: [a-z]+)* ?=|(?i:answer) ?:) ?(?=\S)")      # Area = 5


def clean(text: str) -> str:
    """One spelling for unicode, spacing, fonts, thousands and text. Raises Unreadable for control characters
    (null bytes, right-to-left marks, ...) and for texts longer than MAX_CHARS."""
    if len(text) > MAX_CHARS or CONTROL.search(text):
        raise Unreadable("too long, or control characters")
    for mark, characters, plain in SCRIPTS:
        table = str.maketrans(characters, plain)
        text = re.sub(f"[{characters}]+", lambda m: mark + "{" + m[0].translate(table) + "}", text)
    text = text.translate(UNICODE)
    for pattern, to in REWRITES:
        text = pattern.sub(to, text)
    text = THOUSANDS.sub(lambda m: re.sub(r"\D", "", m[0]), text)
    text = re.sub(r"(\d)\{[.,]\}(\d)", r"\1.\2", text)                       # 12{.}8 and 12{,}8 are decimals
    text = re.sub(r"\s+", " ", TEXT.sub(untext, STYLE.sub(" ", text)))
    text = LABEL.sub("", ENDING.sub("", text).strip())
    braced = text.startswith("{") and closing_brace(text, 0) == len(text) - 1
    return clean(text[1:-1]) if braced and not re.search(r"\\over|\\choose", text) else text


def untext(match) -> str:
    """\\text{ cm} -> ' cm '. A letter that may be a unit is kept apart from the variable of that name:
    \\text{m/s} -> \\unit{m}/\\unit{s}."""
    content = (match[1] or match[2] or "").replace("~", " ").strip()
    if len(content) == 1 or "/" in content:
        content = re.sub(r"\b[A-Za-z]\b", lambda m: f"\\unit{{{m[0]}}}" if m[0] in UNITS else m[0], content)
    return f" {content} "


def closing_brace(text: str, start: int) -> int:
    """Index of the brace that closes text[start] == '{', or -1; escaped braces don't count."""
    depth = 0
    for match in re.compile(r"\\.|[{}]", re.S).finditer(text, start):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return match.start()
    return -1


# ---- the parser --------------------------------------------------------------------------------------------

@cache
def rx(pattern):
    """Compiled, after spaces; a command such as \\in is not the beginning of a longer one such as \\infty."""
    return re.compile(r"\s*(?:" + re.sub(r"(\\\\[A-Za-z]+)(?=\||\)|$)", r"\1(?![A-Za-z])", pattern) + ")")


SEPARATOR = r"[,;]?\s*\\?(?:or|and|OR|AND|lor|land|vee)(?![A-Za-z])|[,;]"
RELATION = "|".join(f"({pattern})" for pattern in RELATIONS)
FRACTION = r"\\frac\s*(?:\{\s*(\d+)\s*\}|(\d))\s*(?:\{\s*(\d+)\s*\}|(\d))"
MIXED = rf"(\d+)\s*{FRACTION}|(\d+)\s+(\d+)\s*/\s*(\d+)(?![\d.])"
BASED = r"(?:\(\s*(\d[\dA-F]*)\s*\)|(\d[\dA-F]*))\s*_\s*(?:\{\s*(\d+)\s*\}|(\d+))"
RECURRING = r"(\d*)\.(\d*)\\(?:overline|bar|dot)\s*(?:\{\s*(\d+)\s*\}|(\d))|(\d*)\.(\d+)\s*\\(?:l|c)?dots"
GROUPED = r"([1-9]\d{0,2}(?:,\d{3})+(?!\d)(?:\.\d+)?)()"
NUMBER = r"(\d+(?:\.(?!\.)\d*)?|\.\d+)(?:[eE]([+-]?\d{1,3})(?![\d.]))?"
UNIT = (r"(/|per\b)?(?:\\cdot|\*)?\s*(?<![A-Za-z])(?:(square|sq|cubic|cu)\b\.?\s*)?"
        r"(?:\\unit\{(\w)\}|(\\(?:AA|dollar|pounds|euro)|[A-Za-z]+))\.?(?:\s*\^\s*\{?\s*(-?\d)\s*\}?)?")
DEGREE = r"\^\s*(?:\{\s*\\circ\s*\}|\\circ)(?:\s*(?:\\unit\{[CFK]\}|[CF](?![A-Za-z])))?|\\degree"
MATRIX = r"\\begin\s*\{([pbv]|small|)(?:matrix|array)\}(?:\s*\{[clr|\s]*\})?"
ENDS_TERM = (r"\\(?:\}|\\|(?:p?b?mod|cup|setminus|end|r(?:floor|ceil|angle|vert|brack)|pm|mp|mid|choose|over)"
             r"(?![A-Za-z]))")
BRACKETS = {"(": ("(", r"[)\]]"), "[": ("[", r"[)\]]"), "\\{": ("{", r"\\\}"), "\\langle": ("(", r"\\rangle"),
            "\\lbrack": ("[", r"\\rbrack|\)")}
FENCES = {"|": ("abs", r"\|"), "\\vert": ("abs", r"\\vert"), "\\lvert": ("abs", r"\\rvert"),
          "\\lfloor": ("floor", r"\\rfloor"), "\\lceil": ("ceil", r"\\rceil")}


class Parser:
    """Recursive descent over one cleaned text: a method reads one rule of the grammar from self.i onward."""

    def __init__(self, text: str):
        self.s, self.i, self.depth = text, 0, 0
        self.bars = self.brackets = 0          # open |...| ; open ( [ \\{, where commas don't group thousands
        self.in_set = False                    # inside \{ \}, where | and : mean "such that"
        self.joints = ""                       # first letters of the words between solutions, "or" and "and"
        self.trig = self.degrees = False       # inside sin(...): degrees are pi/180 ; saw degrees elsewhere

    def next(self, pattern):
        return rx(pattern).match(self.s, self.i)

    def take(self, pattern):
        """Match the pattern and step over it; None if it isn't next."""
        match = self.next(pattern)
        self.i = match.end() if match else self.i
        return match

    def expect(self, pattern) -> str:
        match = self.take(pattern)
        if not match:
            raise Unreadable(f"expected {pattern} at {self.s[self.i:self.i + 20]!r}")
        return match[0].strip()

    # -- structure

    def answer(self) -> Node:
        items = self.items()
        self.expect("$")
        op = "or" if "o" in self.joints else "and" if "a" in self.joints else "list"
        return items[0] if len(items) == 1 else Node(op, items)

    def items(self) -> tuple[Node, ...]:
        items = [self.item()]
        while separator := self.take(SEPARATOR):
            self.joints += re.sub(r"\W", "", separator[0]).lower().replace("lor", "o").replace("vee", "o")[:1]
            items.append(self.item())
        return tuple(items)

    def item(self):
        self.take(r"=|\\approx")
        sides, operators = [self.side()], []
        while operator := self.take(RELATION):
            operators.append(list(RELATIONS.values())[operator.lastindex - 1])
            sides.append(self.side())
        if operators and operators[-1] == "~" and not symbols(sides[-2]):              # 2\sqrt2 \approx 2.83
            operators, sides = operators[:-1], sides[:-1]
        operators = tuple(operator.replace("~", "=") for operator in operators)
        if operators == ("=",) and sides[1].op == "sym" and not symbols(sides[0]):     # 5 = x
            sides.reverse()
        return Node("rel", (operators, tuple(sides))) if operators else sides[0]

    def side(self):
        parts = [self.measure()]
        for operator, op in ((r"\\cup", "union"), (r"\\setminus", "minus"), (":", "ratio")):
            while not (op == "ratio" and self.in_set) and self.take(operator):
                parts.append(self.measure())
            if len(parts) > 1:
                return Node(op, tuple(parts))
        return parts[0]

    def measure(self):
        """An expression and its unit; a currency stands in front."""
        self.degrees = False
        front = self.take(r"(-?)\s*\\(dollar|pounds|euro)")
        value = negative(self.sum()) if front and front[1] else self.sum()
        names = [front[2]] if front else ["degree"] if self.degrees else []
        while unit := self.unit():
            names.append(unit)
        if self.take(r"\\[pb]?mod"):
            names.append(f"mod {render(self.argument())}")
        self.degrees = False
        return Node("unit", (value, " ".join(names))) if names else value

    def unit(self, step=True) -> str:
        """One factor of a unit, such as `cm^2`, `/s` or `per hour`; '' if none is next."""
        match = self.next(UNIT)
        name = match and UNITS.get((match[3] or match[4]).strip("\\"))
        if not name or match[4] and len(match[4]) == 1 and not match[1]:         # a bare letter is a variable
            return ""
        self.i = match.end() if step else self.i
        power = {"s": "2", "c": "3"}.get((match[2] or " ")[0], match[5] or "")
        return ("/" if match[1] else "") + name + power

    # -- arithmetic

    def sum(self):
        terms = []
        while (sign := self.take(r"\+|-|\\pm|\\mp")) or not terms:
            kind, term = sign[0].strip() if sign else "+", self.signed(self.term)
            terms.append(term if kind == "+" else negative(term) if kind == "-" else Node(kind[1:], (term,)))
        return terms[0] if len(terms) == 1 else Node("add", tuple(terms))

    def term(self):
        factors = [self.power()]
        while not self.unit(step=False):
            operator = self.take(r"\\cdot|\\times|\\ast|\*(?!\*)|/|\\div")
            if not operator and not self.factor_follows():
                break
            factor = self.signed(self.power) if operator else self.power()
            divide = operator and operator[0].strip() in ("/", "\\div")
            factors.append(Node("pow", (factor, num(-1))) if divide else factor)
        return factors[0] if len(factors) == 1 else Node("mul", tuple(factors))

    def signed(self, rule):
        return negative(rule()) if self.take("-") else rule()

    def factor_follows(self):
        """Whether a factor is next, as in 2x, 3(a+b) and \\sqrt2\\sqrt3, but not in 2 3."""
        if any(map(self.next, (SEPARATOR, RELATION, ENDS_TERM))) or self.bars and self.next(r"\|"):
            return False
        before = self.s[:self.i].rstrip()[-1]
        return self.next(r"[A-Za-z({\[\\|]") or self.next(NUMBER) and not before.isdigit()

    def power(self):
        base = self.atom()
        for _ in range(6):
            if base.op == "sym" and (prime := self.take(r"'+|\^\s*(?:\{\s*(?:\\prime\s*)+\}|\\prime)")):
                base = Node("sym", (base.args[0] + "'" * (prime[0].count("'") + prime[0].count("prime")),))
            elif self.take(DEGREE):
                self.degrees = not self.trig
                if self.trig:
                    base = Node("mul", (base, Node("const", ("pi",)), num(Fraction(1, 180))))
            elif self.take(r"\^|\*\*"):
                base = Node("pow", (base, self.script()))
            elif self.take(r"!(?!=)"):
                base = Node("call", ("factorial", base))
            elif self.take(r"\\?%"):
                base = Node("percent", (base,))
            else:
                return base
        raise Unreadable("too many powers and factorials in a row")

    def script(self):
        """What ^ or a root applies to: a group, an atom, or a signed integer, as in 2^10 and 10^-3."""
        sign = self.take("-")
        digits = self.take(r"(\d+)(?!\.\d)")
        value = self.integer(digits[1]) if digits else self.atom()
        return negative(value) if sign else value

    def argument(self):
        """What \\frac applies to: a group, an atom, or one digit (\\frac12)."""
        digit = self.take(r"(\d)")
        return num(int(digit[1])) if digit else self.atom()

    # -- atoms

    def atom(self):
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable("nested too deep")
        if self.next(r"[\d.]") or self.next(BASED):
            value = self.number()
        elif opener := self.take(r"\(|\[|\\\{|\\langle|\\lbrack"):
            value = self.bracket(*BRACKETS[opener[0].strip()])
        elif self.take(r"\{"):
            value = self.group()
        elif matrix := self.take(MATRIX):
            value = self.matrix(matrix[1])
        elif fence := self.take(r"\||\\l?vert|\\lfloor|\\lceil"):
            name, closing = FENCES[fence[0].strip()]
            self.bars += 1
            value = Node("call", (name, self.sum()))
            self.bars -= 1
            self.expect(closing)
        else:
            value = self.word()
        self.depth -= 1
        return value

    def integer(self, digits):
        if len(digits) > MAX_DIGITS:
            raise Unreadable("too many digits")
        return num(int(digits or "0"))

    def number(self):
        """Digits in a base, a mixed number, a recurring decimal, or an integer or decimal as written."""
        if m := self.take(BASED):
            return Node("based", ((m[1] or m[2]).lstrip("0"), (m[3] or m[4]).lstrip("0")))
        if m := self.take(MIXED):
            digits = m[1] or m[6], m[2] or m[3] or m[7], m[4] or m[5] or m[8]
            whole, top, bottom = (self.integer(part).args[0] for part in digits)
            if not 0 < top < bottom:                           # 2\frac{7}{3}: a mixed number or a product?
                raise Unreadable("an improper mixed number")
            return num(whole + top / bottom)
        if m := self.take(RECURRING):
            whole, head, block = (m[1], m[2], m[3] or m[4]) if m[6] is None else (m[5], *repeating(m[6]))
            shift, period = 10 ** len(head), 10 ** len(block) - 1
            return num((self.integer(whole + head).args[0] + self.integer(block).args[0] / period) / shift)
        m = not self.brackets and self.take(GROUPED) or self.take(NUMBER)
        if not m:
            raise Unreadable(f"no number at {self.s[self.i:self.i + 20]!r}")
        whole, _, decimals = m[1].replace(",", "").partition(".")
        ulp = Fraction(10) ** (int(m[2] or 0) - len(decimals))
        return num(self.integer(whole + decimals).args[0] * ulp, ulp if decimals or m[2] else None)

    def bracket(self, left, closing):
        """(a, b) and <a, b> are ordered, [a, b) is an interval, \\{a, b\\} a set; (a) and [a] only group."""
        saved, in_set = (self.bars, self.trig, self.in_set), left == "{"
        self.bars, self.trig, self.in_set = int(in_set), self.trig and not in_set, in_set
        self.brackets += 1
        items = () if in_set and self.next(closing) else self.items()
        condition = self.item() if in_set and self.take(r"\||:|\\mid") else None
        right = self.expect(closing).replace("\\rangle", ")").replace("\\rbrack", "]")
        self.brackets -= 1
        self.bars, self.trig, self.in_set = saved
        if condition:                                          # \{x | x > 2\}, \{x \in \mathbb{R} | x > 2\}
            element = items[0]
            if element.op == "rel" and element.args[1][1] == REALS:
                element = element.args[1][0]
            known = element.op == "sym" and element in walk(condition)
            return condition if known else Node("tuple", ("{", (*items, condition), "}"))
        if in_set:
            return Node("set", items)
        grouping = len(items) == 1 and left + right in ("()", "[]")
        return items[0] if grouping else Node("tuple", (left, items, right))

    def group(self):
        """{...} groups; also {n \\choose k}, {a \\over b}, and {1, 2} where \\{1, 2\\} was meant."""
        bars, self.bars = self.bars, 0
        items = self.items()
        if self.take(r"\\choose"):
            items = (Node("call", ("binom", items[0], self.sum())),)
        elif self.take(r"\\over"):
            items = (quotient(items[0], self.sum()),)
        self.expect(r"\}")
        self.bars = bars
        return items[0] if len(items) == 1 else Node("set", items)

    def matrix(self, kind):
        rows = [[self.sum()]]
        while separator := self.take(r"&|\\\\(?:\s*\[[^\]]*\])?"):
            if "&" not in separator[0]:
                if self.next(r"\\end"):
                    break
                rows.append([])
            rows[-1].append(self.sum())
        self.expect(r"\\end\s*\{\w*\}")
        return Node("matrix", ("determinant" if kind == "v" else "matrix", tuple(map(tuple, rows))))

    def word(self):
        """A run of letters: a function, a constant, or the first letter of a product. Prose is Unreadable."""
        if unit := self.take(r"\\unit\{(\w)\}"):
            return self.symbol(unit[1])
        if match := self.take(r"\\([A-Za-z]+)"):
            return self.command(match[1])
        match = self.take(r"[A-Za-z]+")
        if not match:
            raise Unreadable(f"can't read {self.s[self.i:self.i + 20]!r}")
        letters = match[0].strip()
        start = self.i - len(letters)
        if is_word(letters) and not self.s[:start][-1:].isalpha():
            raise Unreadable(f"the word {letters!r}")
        name = next((letters[:k] for k in range(len(letters), 1, -1) if letters[:k] in KNOWN), letters[0])
        self.i = start + len(name)
        return self.named(name)

    def command(self, name):
        """A LaTeX command of the vocabulary."""
        if name == "frac":
            return quotient(self.argument(), self.argument())
        if name == "binom":
            return Node("call", ("binom", self.argument(), self.argument()))
        if name in ("bar", "overline", "dot", "ddot", "tilde"):
            return self.symbol(f"{name} {render(self.argument())}")
        if name == "angle":
            vertices = self.expect(r"(?:[A-Z]\s*(?:_\s*\{?\w\}?)?\s*)*")
            return Node("sym", ("angle " + vertices.replace(" ", ""),))
        if name == "mathbb":
            letter = self.expect(r"\{\s*[A-Z]\s*\}|[A-Z]").strip("{ }")
            return REALS if letter == "R" else Node("sym", ("set " + letter,))
        if name in ("emptyset", "varnothing"):
            return Node("set", ())
        if name not in KNOWN and name not in SYMBOLS:
            raise Unreadable(f"unknown command \\{name}")
        return self.named(name)

    def named(self, name):
        if name == "sqrt":
            degree = self.sum() if self.take(r"\[") and not self.take(r"\]") else None
            if degree:
                self.expect(r"\]")
            return Node("pow", (self.script(), quotient(num(1), degree or num(2))))
        if name in FUNCTIONS:
            return self.call(FUNCTIONS[name])
        if name in CONSTANTS or name in ("e", "i"):
            return Node("const", (CONSTANTS.get(name, name),))
        return self.symbol(name)

    def symbol(self, name):
        """A variable with its subscript: x_1, \\lambda_{\\text{red}}; also a value at 0: I(0)."""
        subscript = self.take(r"_\s*(?:\{((?:[^{}]|\{[^{}]*\})*)\}|(\\?[A-Za-z]+|\d))")
        if subscript:
            name += "_" + re.sub(r"[\s{}]", "", subscript[1] or subscript[2] or "")
        if self.take(r"\(\s*0\s*\)"):                         # I(0) e^{-t} is no multiple of 0
            name += "(0)"
        return Node("sym", (name,))

    def call(self, name):
        """sin^2 x, \\log_2 8, \\ln|x|, \\sin 2x: without brackets the argument is a whole product."""
        base = self.script() if name == "log" and self.take("_") else num(10)
        power = self.script() if self.take(r"\^") else None
        outer, self.trig = self.trig, name in TRIG
        if self.next(r"[({\[|]"):
            argument = self.atom()
        else:
            sign, factors = self.take("-"), [self.power()]
            while self.factor_follows() and not self.next(rf"\\?(?:{'|'.join(FUNCTIONS)})"):
                factors.append(self.power())
            argument = Node("mul", tuple(factors))
            argument = negative(argument) if sign else argument
        self.trig = outer
        inverse = power == negative(num(1)) and name in TRIG
        result = Node("call", ("a" * inverse + name, *([base] if name == "log" else []), argument))
        return Node("pow", (result, power)) if power and not inverse else result


def is_word(letters: str) -> bool:
    """Whether bare letters are prose (`not 0` is no 0); products are short, sorted (abcd) or capitals."""
    return letters.lower() in ("not", "no", "any", "all", "the", "yes", "non", "but") or (
        len(letters) > 3 and letters[1:].islower() and list(letters) != sorted(letters)
        and not any(name in letters for name in KNOWN))


def repeating(decimals: str) -> tuple[str, str]:
    """Head and repeating block before an ellipsis: '1666' is ('1', '6'), '142142' is ('', '142')."""
    match = re.search(r"(\d)\1\1+$", decimals) or re.search(r"(\d\d+?)\1+$", decimals)
    if not match:
        raise Unreadable("an ellipsis after digits that don't repeat")
    return decimals[:match.start()], match[1]


def parse(text: str) -> Node:
    """The tree of a cleaned answer. Raises Unreadable."""
    return Parser(text).answer()


# ---- what a tree is worth ----------------------------------------------------------------------------------

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
        if op not in ("add", "mul", "neg", "percent", "pow", "call"):
            raise Unreadable(f"not a number: {op}")
        parts = [self(arg, at) for arg in args if type(arg) is Node]
        if op in ("add", "mul"):
            total = parts[0]
            for value in parts[1:]:
                if isinstance(total, Fraction) != isinstance(value, Fraction):
                    total, value = self.real(total), self.real(value)
                total = self.checked(total + value if op == "add" else total * value)
            return total
        return self.checked(-parts[0] if op == "neg" else parts[0] / 100 if op == "percent" else
                            self.power(*parts) if op == "pow" else self.call(args[0], parts))

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
            return abs(args[0]) if name == "abs" else getattr(mp, name)(*reversed(args))       # log(x, base)
        except (ZeroDivisionError, ValueError) as error:                                       # a pole
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
        return result, evaluator.complex


def close(a, b) -> bool:
    """a = b: exactly where both are rational, else to 45 digits (after the point for large numbers)."""
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return a == b
    a, b = (mp.mpf(x.numerator) / x.denominator if isinstance(x, Fraction) else x for x in (a, b))
    if mp.isinf(a) or mp.isinf(b):
        return a == b
    return abs(a - b) <= mp.ldexp(min(1, max(abs(a), abs(b))), -150) + mp.ldexp(1, -340)


def sample(p, g):
    """Both trees' values at 10 points: (a, b, real?). The points lie in (0, 1), (0, 9), (-9, 0) and (-9, 9),
    or are 30 natural numbers if a factorial, (-1)^n or a floor on both sides says so."""
    calls = [{n.args[0] for n in walk(tree) if n.op == "call"} for tree in (p, g)]
    powers = [n.args[0] for n in walk((p, g)) if n.op == "pow"]
    whole = ((calls[0] | calls[1]) & {"factorial", "binom"} or all(c & {"floor", "ceil"} for c in calls)
             or any(base.op == "neg" and not symbols(base) for base in powers))
    names = symbols(p, g)
    for k in range(30 if whole else 10):
        rng = random.Random(k)
        low, high = ((0, 97), (0, 873), (-873, 0), (-873, 873))[k % 4]
        at = {name: Fraction(2 * rng.randrange(low, high) + 1, 194) for name in names}
        if whole:
            at = {name: Fraction(k + 1 if len(names) == 1 else rng.randrange(1, 12 + k)) for name in names}
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


def same_scalar(p, g) -> bool:
    """Equal as numbers or functions. A decimal also stands for an irrational number that rounds to it."""
    if symbols(p, g):
        return same_function(p, g)
    (a, b), unreal = values((p, g))
    if close(a, b) or unreal:
        return close(a, b)
    for decimal, x, step in ((a, b, ulp(p)), (b, a, ulp(g))):
        if step and isinstance(decimal, Fraction) and not isinstance(x, Fraction) and mp.isfinite(x):
            rational = Fraction(int(mp.nint(x * 10 ** 30)), 10 ** 30).limit_denominator(10 ** 6)
            return (abs(decimal / step) >= 10 ** (SHOWN - 1) and not close(x, rational)
                    and abs(x - mp.mpmathify(decimal)) * 2 <= mp.mpmathify(step))
    return False


# ---- comparing trees ---------------------------------------------------------------------------------------

def equal(p, g) -> bool:
    """Whether two trees are the same answer: the same region, or the same solutions in any order."""
    if p == g:
        return True
    if any(n.op in ("union", "minus") or n.op == "rel" and set(n.args[0]) != {"="} for n in walk((p, g))):
        if "and" in (p.op, g.op) and p.op != g.op:                         # x > 3 and x < 2, not: or x < 2
            return False
        mine, theirs = region(p), region(g)
        if mine and theirs:
            named_alike = mine[0] == theirs[0] or None in (mine[0], theirs[0])
            return named_alike and matched(mine[1], theirs[1], same_piece)
    return matched(solutions(as_point(p, g)), solutions(as_point(g, p)), equal_one)


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
    """The answers in a list, a set, an alternative or a plus-minus, one by one; other trees are one."""
    op, args = node
    if op in ("list", "or", "and", "set"):
        found = [solution for item in args for solution in solutions(item)]
        return found[:1] if op == "or" and all(equal_one(found[0], other) for other in found[1:]) else found
    if op == "rel" and args[0][-1] in ("=", "in") and args[1][-1].op == "set":
        return solutions(args[1][-1])
    if op == "unit":
        return [Node("unit", (value, args[1])) for value in solutions(args[0])]
    if op == "tuple" and any(n.op in ("pm", "mp") for n in walk(node)):      # (\pm 3, \pm 2) is four points
        choices = itertools.product(*map(solutions, args[1]))
        return [Node("tuple", (args[0], choice, args[2])) for choice in choices]
    if any(n.op in ("pm", "mp") for n in walk(node)):
        def sign(kept, turned):
            return lambda n: n.args[0] if n.op == kept else negative(n.args[0]) if n.op == turned else n
        return [rebuild(node, sign("pm", "mp")), rebuild(node, sign("mp", "pm"))]
    return [node]


def equal_one(p, g) -> bool:
    """Whether two single answers are the same. Types are respected; a name or unit may be on one side."""
    p, g = last_side(p), last_side(g)
    ops = (p.op, g.op)
    if p == g:
        return True
    if "rel" in ops:
        return same_relation(p, g)
    if "unit" in ops:
        units = {n.args[1] for n in (p, g) if n.op == "unit"}
        p, g = (n.args[0] if n.op == "unit" else n for n in (p, g))
        return (len(units) == 1 or "count" in units) and equal(p, g)
    if "ratio" in ops:                                                       # 3:4 = 6:8 = 3/4
        p, g = ([quotient(x, n.args[-1]) for x in n.args[:-1]] if n.op == "ratio" else [n] for n in (p, g))
        return len(p) == len(g) and all(map(equal, p, g))
    p_rows, g_rows = rows(p), rows(g)
    if p_rows and g_rows:
        return [len(r) for r in p_rows] == [len(r) for r in g_rows] and all(
            equal(x, y) for r, s in zip(p_rows, g_rows) for x, y in zip(r, s))
    if "tuple" in ops:
        return p.op == g.op and p.args[::2] == g.args[::2] and len(p.args[1]) == len(g.args[1]) and all(
            map(equal, p.args[1], g.args[1]))
    return same_scalar(p, g)


def rows(node):
    """The rows of a matrix, of a multiple of one, or of a vector (a, b) as a column; None for other trees."""
    if node.op == "matrix":
        return node.args[1] if node.args[0] == "matrix" else None
    if node.op == "tuple" and node.args[::2] == ("(", ")"):
        return tuple((x,) for x in node.args[1])
    for k, inner in enumerate(node.args if node.op in ("mul", "neg") else ()):
        if inside := rows(inner):
            before, after = node.args[:k], node.args[k + 1:]
            return tuple(tuple(Node(node.op, (*before, x, *after)) for x in row) for row in inside)
    return None


def as_point(node, other):
    """x = 2, y = 3 as the point (2, 3) if the other side is a point; else the tree itself."""
    items = node.args if node.op in ("list", "and") and other.op == "tuple" else ()
    pairs = [n.args[1] for n in items if n.op == "rel" and n.args[0] == ("=",)]
    names = [name for name, _ in pairs if name.op == "sym"]
    point = names and len(names) == len(items) and names == sorted(set(names))
    return Node("tuple", ("(", tuple(value for _, value in pairs), ")")) if point else node


def last_side(node):
    """A chain of true equations says its last side: 57+39 = 96 says 96, and S = 2 \\cdot 3 = 6 says S = 6."""
    if node.op != "rel" or set(node.args[0]) != {"="} or symbols(node.args[1][-1]):
        return node
    *sides, last = node.args[1]
    known = [side for side in sides if not symbols(side)]
    if not all(equal(side, last) for side in known):
        return node
    if len(known) == len(sides):
        return last
    return Node("rel", (("=",), (sides[0], last))) if is_name(sides[0]) else node


def is_name(node) -> bool:
    """Left sides that only name a quantity: x, (x, y), AB, f(2), m+n, P(A), |AB|, \\sin A."""
    op, args = node
    if op == "mul":                                                          # f(x), f^{-1}(x), AB
        head = args[0].args[0] if args[0].op == "pow" and args[0].args[1] == negative(num(1)) else args[0]
        return is_name(head) and all(is_name(a) or a.op == "num" for a in args[1:])
    return op == "sym" or op in ("add", "call", "tuple") and all(map(is_name, args[1] if op == "tuple" else (
        a for a in args if type(a) is Node)))


def same_relation(p, g) -> bool:
    """x = 5 and 5; f(x) = 2x and f(t) = 2t and 2x; y = 2x+1 and 2x-y+1 = 0; 2x > 4 and x > 2."""
    for one, other in ((p, g), (g, p)):
        if other.op != "rel":                                                # a name may be on one side only
            name, body = one.args[1][0], one.args[1][-1]
            head = next((n.args[0] for n in walk(name) if n.op == "sym"), "")
            named = one.args[0] == ("=",) and is_name(name) and head not in symbols(body)
            return named and equal(body, other)
    if len(p.args[0]) != 1 or len(g.args[0]) != 1:
        return False
    (name, body), (other, value) = p.args[1], g.args[1]
    if p.args[0] == g.args[0] == ("=",) and is_name(name) and is_name(other):
        letters = name.op == other.op == "mul" and all(n.op == "sym" for n in (*name.args, *other.args))
        if letters and name.args[0] == other.args[0] and len(name.args) == len(other.args):    # f(x), f(t)
            bound = [{letter: Node("sym", (f"argument {k}",)) for k, letter in enumerate(f.args[1:])}
                     for f in (name, other)]
            body, value = (rebuild(side, lambda n: names.get(n, n)) for side, names in zip((body, value), bound))
            return equal(body, value)
        if name == other:
            return equal(body, value)
    (operator, f), (same, h) = standard_form(p), standard_form(g)
    return operator == same and proportional(f, h, positive=operator in ("<", "<="))


def standard_form(node):
    """A relation as (operator, f), meaning f operator 0, with > turned round."""
    operator, (left, right) = node.args[0][0], node.args[1]
    left, right = (right, left) if operator[0] == ">" else (left, right)
    return operator.replace(">", "<"), Node("add", (left, negative(right)))


def region(node):
    """(variable or None, pieces) of an interval, inequality, union or difference; None for other trees.
    A piece is (left bracket, low, high, right bracket)."""
    op, args = node
    if op == "tuple" and len(args[1]) == 2:
        return None, [(args[0], *args[1], args[2])]
    if op == "set":
        return None, [("[", x, x, "]") for x in args]
    if op == "minus" and args[0] == REALS and args[1].op == "set" and not symbols(args[1]):
        places, unreal = values(solutions(args[1]))
        if unreal:
            return None
        cuts = [cut for _, cut in sorted(zip(places, solutions(args[1])), key=lambda pair: pair[0])]
        ends = [negative(INFINITY), *cuts, INFINITY]
        return None, [("(", low, high, ")") for low, high in zip(ends, ends[1:])]
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
    if k is None or len(sides) > 3 or len(sides) == 3 and k != 1:
        return None
    name = sides[k].args[0]
    if name in symbols(*sides[:k], *sides[k + 1:]):
        return None
    if list(operators) == ["!="]:
        return name, [("(", negative(INFINITY), sides[1 - k], ")"), ("(", sides[1 - k], INFINITY, ")")]
    if set(operators) - {"<", "<="}:
        return None
    low = ("[" if operators[0] == "<=" else "(", sides[0]) if k else ("(", negative(INFINITY))
    high = (sides[-1], "]" if operators[-1] == "<=" else ")") if k < len(sides) - 1 else (INFINITY, ")")
    return name, [(*low, *high)]


def same_piece(p, g) -> bool:
    return p[::3] == g[::3] and equal(p[1], g[1]) and equal(p[2], g[2])
