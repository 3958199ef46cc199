"""Read a mathematical answer, LaTeX or plain text: text -> clean() -> parse() -> a small tree -> its value.

A recursive-descent parser over a whitelist grammar. Nothing that it reads is run, looked up or imported: the result is
a `Node(op, args)`, and whatever is not in the grammar raises `Unreadable`. Reading takes time linear in the length
(at most MAX_CHARS) at a bounded depth; the Evaluator refuses a number before it grows past MAX_BITS.

    answer  := item ((',' | ';' | 'or' | 'and') item)*              several solutions
    item    := side (('=' | '<' | '\\le' | '\\in' ...) side)*
    side    := measure (('\\cup' | '\\setminus' | ':') measure)*
    measure := sum [unit]                                           3.2 \\text{ cm}^2
    sum     := ['-'] term (('+' | '-' | '\\pm') term)*
    term    := power (['\\cdot' | '/'] power)*                       side by side multiplies; 1/2x is (1/2)x
    power   := atom ('^' script | '!' | '%' | '^\\circ')*
    atom    := number | word | '(' items ')' | '\\{' items '\\}' | '|' sum '|' | matrix
"""

import math
import re
from fractions import Fraction
from functools import cache
from typing import NamedTuple

import mpmath

MAX_CHARS, MAX_DEPTH, MAX_DIGITS = 2000, 25, 1000
MAX_BITS = 30_000              # of a number: 2004! (a real gold) has 19,000
MAX_FACTORIAL = 2_500


class Unreadable(ValueError):
    """The text is not in the grammar, or is larger than an answer may be."""


class Undefined(ArithmeticError):
    """The expression has no value at this point (division by zero, logarithm of zero, ...)."""


class Node(NamedTuple):
    """One vertex. `args` are Nodes, except in num (Fraction, weight of the last digit shown or None), sym (name,),
    const ('pi' | 'e' | 'i' | 'inf',), based (digits, base), unit (Node, name), rel (operators, sides),
    tuple (left, items, right), call (function, *Nodes) and matrix (kind, rows)."""
    op: str
    args: tuple


def num(value, ulp=None) -> Node:
    return Node("num", (Fraction(value), ulp))


def negative(node) -> Node:
    return Node("neg", (node,))


def quotient(top, bottom) -> Node:
    return Node("mul", (top, Node("pow", (bottom, num(-1)))))


# ---- vocabulary: the whole of it -----------------------------------------------------------------------------

UNICODE = str.maketrans(dict((pair + " " * pair[-1].isalpha()).split(":", 1) for pair in r"""−:- –:- —:- ‐:- ×:\times ÷:\div ·:\cdot ⋅:\cdot ∙:\cdot ∗:* °:^\circ
    º:^\circ π:\pi ∞:\infty ≤:\le ≥:\ge ⩽:\le ⩾:\ge ≠:\ne ≈:\approx ∪:\cup ⋃:\cup ∈:\in ±:\pm ∓:\mp ℝ:\mathbb{R} ∅:\emptyset
    ′:' ’:' ⌊:\lfloor ⌋:\rfloor ⌈:\lceil ⌉:\rceil ∠:\angle ⟨:\langle ⟩:\rangle …:\ldots £:\pounds €:\euro ，:, ％:%
    （:( ）:) ＝:= ；:; ＋:+ ∖:\setminus ½:\frac{1}{2} ⅓:\frac{1}{3} ⅔:\frac{2}{3} ¼:\frac{1}{4} ¾:\frac{3}{4}
    α:\alpha β:\beta γ:\gamma δ:\delta ε:\epsilon θ:\theta λ:\lambda μ:\mu ρ:\rho σ:\sigma τ:\tau φ:\phi ω:\omega
    Δ:\Delta Ω:\Omega""".split()) | {"：": ":", "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u3000": " "})
SCRIPTS = (("^", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻ⁿ", "0123456789-n"), ("_", "₀₁₂₃₄₅₆₇₈₉", "0123456789"))
SYMBOLS = set("""alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau
    upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega hbar ell odot""".split())
TRIG = ("sin", "cos", "tan", "cot", "sec", "csc")
FUNCTIONS = ({name: name for name in (*TRIG, "sinh", "cosh", "tanh", "ln", "log", "exp", "min", "max", "gcd", "lcm", "abs",
                                      "floor", "ceil")}
             | {arc + t: "a" + t for arc in ("arc", "a") for t in TRIG} | {"lg": "log"})
CONSTANTS = {"pi": "pi", "infty": "inf", "infinity": "inf", "inf": "inf"}
RELATIONS = {r"=|\\approx|\\simeq|\\equiv": "=", r"<=|\\leqslant|\\leq|\\le": "<=", r">=|\\geqslant|\\geq|\\ge": ">=",
             r"<|\\lt": "<", r">|\\gt": ">", r"!=|\\neq|\\ne": "!=", r"\\in": "in"}

# A unit a group: its name, then its other spellings. Letters in ( ) count only inside \text, \mathrm or after '/'.
# The group "count" holds nouns that only say what was counted: they are read and forgotten.
UNITS = {word.strip("()"): group.split()[0].strip("()") for group in """degree degrees deg; dollar dollars USD; pounds; euro
    euros; cent cents; mm millimeter millimeters; cm centimeter centimeters centimetre centimetres; km kilometer kilometers
    kilometre kilometres; (m) meter meters metre metres; nm nanometer nanometers; pm; in inch inches; ft foot feet; yd yard
    yards; mi mile miles; (s) second seconds sec secs; min minute minutes mins; (h) hour hours hr hrs; day days; week weeks;
    month months; year years yr yrs; kg kilogram kilograms; (g) gram grams; mg; lb lbs; oz ounce ounces; ton tons; (L) liter
    liters litre litres; mL ml milliliter milliliters; gallon gallons; (N) newton newtons; (J) joule joules; kJ; cal calorie
    calories; kcal; eV; keV; MeV; erg ergs; (W) watt watts; kW; (V) volt volts Volt Volts; (A) ampere amperes amp amps; Hz
    hertz; kHz; MHz; Pa; kPa; (K) kelvin; (C) coulomb coulombs; (F) farad; angstrom angstroms AA; mol mole moles; amu; rad
    radian radians; arcsec arcsecs arcsecond arcseconds; arcmin arcminutes; parsec parsecs pc; magnitude magnitudes; bit bits;
    mph; kph; rpm; Gyr; count unit units ways way people persons students divisors factors solutions points pairs triangles
    integers numbers sides apples oranges books games cards coins marbles children men women boys girls times digits terms
    zeros rolls balls tickets pieces choices values squares lines roots edges vertices faces diagonals arrangements
    permutations combinations subsets cookies pages trees cars eggs votes atoms photons steps moves committees outcomes
    handshakes bushels""".split(";") for word in group.split()}

# ---- one spelling for each thing -----------------------------------------------------------------------------

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
THOUSANDS = re.compile(r"(?<![\d.,}!])\d{1,3}(?:(?:\{,\}|,\s*\\!|\\,|\\ |~| )\s*\d{3})+(?!\d)")
STYLE = re.compile(r"\\(?:(?:display|text|script)style|(?:no)?limits|rm|bf|it|left|right|[bB]igg?[lrm]?|q?quad|thinspace|"
                   r"boldsymbol|math(?:bf|it|sf|cal)|vec|overrightarrow|hat|bm|therefore|triangle)(?![A-Za-z])\.?"
                   r"|(?<!\\)\\[!;:,> ]|~")
TEXT = re.compile(r"\\(?:text(?:bf|it|rm|normal)?|mathrm|[mh]box|operatorname\*?)\s*(?:\{([^{}]*)\}|(\w))")
REWRITES = [(re.compile(pattern), to) for pattern, to in (
    (r"(\d)([½⅓⅔¼¾])", r"\1 \2"), (r"√\s*(\d+|[a-zA-Z])", r"\\sqrt{\1}"), ("√", r"\\sqrt"),
    (r"(?<=\d)\s*\.\.\.", r"\\ldots "), (r"\\\$", r"\\dollar "), (r"\$", " "), (r"(?<!\\)\\[()\[\]]", " "),
    (r"\\[lr]brace(?![a-z])", lambda m: "\\{" if m[0][1] == "l" else "\\}"), (r"\\[dtc](frac|binom)", r"\\\1"),
    (r"\b(?:np|numpy|math|sympy)\.(?=[a-z])", ""), (r"\bpercent\b", "%"),
    (r"\\backslash(?![a-z])|-(?=\s*\\\{)", r"\\setminus "), (r"\bmillion\b", r"\\cdot 10^6"), (r"\bbillion\b", r"\\cdot 10^9"))]


def clean(text: str) -> str:
    """One spelling for unicode, spacing, fonts, thousands and text. Raises Unreadable for control characters (null
    bytes, right-to-left marks, ...) and for texts longer than MAX_CHARS."""
    text = re.sub(r"[\n\t]", " ", text)
    if len(text) > MAX_CHARS or CONTROL.search(text):
        raise Unreadable("too long, or control characters")
    for mark, characters, plain in SCRIPTS:
        text = re.sub(f"[{characters}]+", lambda m: mark + "{" + m[0].translate(str.maketrans(characters, plain)) + "}", text)
    for pattern, to in REWRITES:
        text = pattern.sub(to, text)
    text = text.translate(UNICODE)
    text = THOUSANDS.sub(lambda m: re.sub(r"\D", "", m[0]), text)
    text = re.sub(r"(\d)\{[.,]\}(\d)", r"\1.\2", text)                       # 12{.}8 and 12{,}8 are decimals
    text = TEXT.sub(untext, STYLE.sub(" ", text))
    text = re.sub(r"(?:[.,;:\s]|\\\\|\\$)+$", "", re.sub(r"\s+", " ", text)).strip()
    braced = text.startswith("{") and closing_brace(text, 0) == len(text) - 1 and not re.search(r"\\over|\\choose", text)
    return clean(text[1:-1]) if braced else text


def untext(match) -> str:
    """\\text{ cm} -> ' cm '. A letter that may be a unit stays apart from the variable: \\text{m/s} -> '\\unit{m}/\\unit{s}'."""
    content = (match[1] or match[2] or "").replace("~", " ").strip()
    if len(content) == 1 or "/" in content:
        content = re.sub(r"(?<![A-Za-z])[A-Za-z](?![A-Za-z])", lambda m: f"\\unit{{{m[0]}}}" if m[0] in UNITS else m[0], content)
    return f" {content} "


def closing_brace(text: str, start: int) -> int:
    """Index of the brace that closes text[start] == '{', or -1; escaped braces don't count."""
    depth = 0
    for match in re.compile(r"\\.|[{}]", re.S).finditer(text, start):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return match.start()
    return -1


# ---- the parser ----------------------------------------------------------------------------------------------

@cache
def rx(pattern):
    """Compiled, after spaces; a command such as \\in is not the beginning of a longer one such as \\infty."""
    return re.compile(r"\s*(?:" + re.sub(r"(\\\\[A-Za-z]+)(?=\||\)|$)", r"\1(?![A-Za-z])", pattern) + ")")


SEPARATOR = r"[,;]?\s*\\?(?:or|and|OR|AND|lor|land|vee)(?![A-Za-z])|[,;]"
RELATION = "|".join(f"({pattern})" for pattern in RELATIONS)
FRACTION = r"\\frac\s*(?:\{\s*(\d+)\s*\}|(\d))\s*(?:\{\s*(\d+)\s*\}|(\d))"
MIXED = rf"(\d+)\s*{FRACTION}|(\d+)\s+(\d+)\s*/\s*(\d+)(?![\d.])"
BASED = r"\(?\s*(\d[\dA-F]*)\s*\)?\s*_\s*(?:\{\s*(\d+)\s*\}|(\d+))"
RECURRING = r"(\d*)\.(\d*)\\(?:overline|bar|dot)\s*(?:\{\s*(\d+)\s*\}|(\d))|(\d*)\.(\d+)\s*\\(?:l|c)?dots"
NUMBER = r"(?:\d+(?:\.(?!\.)\d*)?|\.\d+)(?:[eE][+-]?\d+(?![\d.]))?"
GROUPED = r"[1-9]\d{0,2}(?:,\d{3})+(?!\d)(?:\.\d+)?"
UNIT = (r"(/|per\b)?(?:\\cdot|\*)?\s*(?<![A-Za-z])(?:(square|sq|cubic|cu)\b\.?\s*)?(?:\\unit\{(\w)\}|(\\(?:AA|dollar|pounds|euro)|[A-Za-z]+))\.?"
        r"(?:\s*\^\s*\{?\s*(-?\d)\s*\}?)?")
DEGREE = r"\^\s*(?:\{\s*\\circ\s*\}|\\circ)(?:\s*(?:\\unit\{[CFK]\}|[CF](?![A-Za-z])))?|\\degree"
MATRIX = r"\\begin\s*\{([pbv]|small|)(?:matrix|array)\}(?:\s*\{[clr|\s]*\})?"
BRACKETS = {"(": ("(", r"[)\]]"), "[": ("[", r"[)\]]"), "\\{": ("{", r"\\\}"), "\\langle": ("(", r"\\rangle"),
            "\\lbrack": ("[", r"\\rbrack|\)")}


class Parser:
    """Recursive descent over one cleaned text: each method reads one rule of the grammar from self.i onward."""

    def __init__(self, text: str):
        self.s, self.i, self.depth = text, 0, 0
        self.bars = self.brackets = 0          # open |...| ; open ( [ \{, in which commas don't group thousands
        self.either = False                    # solutions were joined by "or"
        self.trig = self.degrees = False       # inside sin(...), where degrees are pi/180 ; saw ^\circ elsewhere

    def next(self, pattern):
        return rx(pattern).match(self.s, self.i)

    def take(self, pattern):
        """Match the pattern and step over it; None if it isn't next."""
        match = self.next(pattern)
        self.i = match.end() if match else self.i
        return match

    def expect(self, pattern):
        match = self.take(pattern)
        if not match:
            raise Unreadable(f"expected {pattern} at ...{self.s[self.i:self.i + 20]!r}")
        return match[0].strip()

    # -- structure

    def answer(self) -> Node:
        items = self.items()
        self.expect(r"$")
        return items[0] if len(items) == 1 else Node("or" if self.either else "list", tuple(items))

    def items(self) -> list[Node]:
        items = [self.item()]
        while separator := self.take(SEPARATOR):
            self.either |= bool(re.search("or|vee", separator[0], re.I))
            items.append(self.item())
        return items

    def item(self):
        self.take(r"=|\\approx")
        sides, operators = [self.side()], []
        while operator := self.take(RELATION):
            operators.append(list(RELATIONS.values())[operator.lastindex - 1])
            sides.append(self.side())
        return Node("rel", (tuple(operators), tuple(sides))) if operators else sides[0]

    def side(self):
        parts = [self.measure()]
        for operator, op in ((r"\\cup", "union"), (r"\\setminus", "minus"), (":", "ratio")):
            while self.take(operator):
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
        self.degrees = False
        return Node("unit", (value, " ".join(names))) if names else value

    def unit(self, step=True) -> str:
        """One factor of a unit, such as `cm^2`, `/s` or `per hour`; '' if none is next."""
        match = self.next(UNIT)
        name = match and UNITS.get((match[3] or match[4]).strip("\\"))
        if not name or match[4] and len(match[4]) == 1 and not match[1]:             # a bare letter is a variable
            return ""
        self.i = match.end() if step else self.i
        power = {"s": "2", "c": "3"}.get((match[2] or " ")[0], match[5] or "")
        return ("/" if match[1] else "") + name + power

    # -- arithmetic

    def sum(self):
        terms = []
        while sign := self.take(r"\+|-|\\pm|\\mp") or not terms:
            sign, term = sign is not True and sign[0].strip(), self.term()
            terms.append(negative(term) if sign == "-" else Node(sign[1:], (term,)) if sign in ("\\pm", "\\mp") else term)
        return terms[0] if len(terms) == 1 else Node("add", tuple(terms))

    def term(self):
        factors = [self.power()]
        while not self.unit(step=False):
            operator = self.take(r"\\cdot|\\times|\\ast|\*(?!\*)|/|\\div")
            if not operator and not self.factor_follows():
                break
            factor = negative(self.power()) if operator and self.take("-") else self.power()
            factors.append(Node("pow", (factor, num(-1))) if operator and operator[0].strip() in ("/", "\\div") else factor)
        return factors[0] if len(factors) == 1 else Node("mul", tuple(factors))

    def factor_follows(self):
        """Whether something that multiplies is next: 2x, 3(a+b), \\sqrt2\\sqrt3, but not two numbers side by side."""
        if self.next(SEPARATOR) or self.next(RELATION) or self.bars and self.next(r"\|"):
            return False
        if self.next(r"\\(?:\}|\\|(?:cup|setminus|end|r(?:floor|ceil|angle|vert|brack)|pm|mp|mid|choose|over)(?![A-Za-z]))"):
            return False
        return self.next(r"[A-Za-z({\[\\|]") or self.next(NUMBER) and not self.s[:self.i].rstrip()[-1].isdigit()

    def power(self):
        base = self.atom()
        for _ in range(6):
            if base.op == "sym" and (prime := self.take(r"'+|\^\s*(?:\{\s*(?:\\prime\s*)+\}|\\prime)")):
                base = Node("sym", (base.args[0] + "'" * (prime[0].count("'") + prime[0].count("prime")),))
            elif self.take(DEGREE):
                self.degrees = not self.trig
                base = Node("mul", (base, Node("const", ("pi",)), num(Fraction(1, 180)))) if self.trig else base
            elif base.op == "matrix" and self.take(r"\^\s*(?:T|\{\s*T\s*\}|\\top|\{\s*\\top\s*\})"):
                base = Node("matrix", (base.args[0], tuple(zip(*base.args[1]))))
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
        """What ^ or a root applies to: a group, an atom, or a signed integer, as people type 2^10 and 10^-3."""
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
            closing, name = {"f": (r"\\rfloor", "floor"), "c": (r"\\rceil", "ceil")}.get(
                fence[0].strip()[2:3], (r"\||\\r?vert", "abs"))
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
        return num(int(digits))

    def number(self):
        """Digits in a base, a mixed number, a recurring decimal, or an integer or decimal as written."""
        if m := self.take(BASED):
            return Node("based", (m[1].lstrip("0"), (m[2] or m[3]).lstrip("0")))
        if m := self.next(MIXED):
            whole, top, bottom = (self.integer(x).args[0] for x in (m[1] or m[6], m[2] or m[3] or m[7], m[4] or m[5] or m[8]))
            if 0 < top < bottom:
                self.take(MIXED)
                return num(whole + top / bottom)
        if m := self.take(RECURRING):
            whole, head, block = (m[1], m[2], m[3] or m[4]) if m[6] is None else (m[5], *repeating(m[6]))
            shift, period = 10 ** len(head), 10 ** len(block) - 1
            return num(Fraction(int(whole + head or "0"), shift) + Fraction(int(block), period * shift))
        m = not self.brackets and self.take(GROUPED) or self.take(NUMBER)
        mantissa, _, exponent = (m[0] if m else "").strip().replace(",", "").lower().partition("e")
        if not mantissa or len(exponent) > 9 or len(mantissa) > MAX_DIGITS or abs(int(exponent or 0)) > MAX_DIGITS:
            raise Unreadable("not a number, or too many digits")
        whole, _, decimals = mantissa.partition(".")
        ulp = Fraction(10) ** (int(exponent or 0) - len(decimals))
        return num(int(whole + decimals) * ulp, ulp if decimals or exponent else None)

    def bracket(self, left, closing):
        """(a, b) and <a, b> are ordered, [a, b) is an interval, \\{a, b\\} a set; ( ) or [ ] around one item only group."""
        saved, self.bars, self.trig = (self.bars, self.trig), 0, self.trig and left != "{"
        self.brackets += 1
        items = [] if left == "{" and self.next(closing) else self.items()
        if left == "{" and self.take(r"\||:|\\mid"):                                   # \{x \mid x > 2\}
            items = [self.item()]
            self.expect(closing)
            self.brackets, (self.bars, self.trig) = self.brackets - 1, saved
            return items[0]
        right = {"\\rangle": ")", "\\rbrack": "]"}.get(closer := self.expect(closing), closer)
        self.brackets -= 1
        self.bars, self.trig = saved
        if left == "{":
            return Node("set", tuple(items))
        return items[0] if len(items) == 1 and left + right in ("()", "[]") else Node("tuple", (left, tuple(items), right))

    def group(self):
        """{...} groups; also {n \\choose k}, {a \\over b}, and {1, 2} where \\{1, 2\\} was meant."""
        bars, self.bars = self.bars, 0
        items = self.items()
        if self.take(r"\\choose"):
            items = [Node("call", ("binom", items[0], self.sum()))]
        elif self.take(r"\\over"):
            items = [quotient(items[0], self.sum())]
        self.expect(r"\}")
        self.bars = bars
        return items[0] if len(items) == 1 else Node("set", tuple(items))

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
        """A command or a run of letters: a function, a constant, a decorated name, or the first letter of a product."""
        if unit := self.take(r"\\unit\{(\w)\}"):
            return Node("sym", (unit[1],))
        match = self.take(r"(\\?)([A-Za-z]+)")
        if not match:
            raise Unreadable(f"can't read ...{self.s[self.i:self.i + 20]!r}")
        command, name = match[1], match[2]
        if command and name == "frac":
            return quotient(self.argument(), self.argument())
        if command and name == "binom":
            return Node("call", ("binom", self.argument(), self.argument()))
        if command and name in ("bar", "overline", "dot", "ddot", "tilde"):
            return Node("sym", (f"{name} {render(self.argument())}",))
        if command and name == "angle":
            return Node("sym", ("angle" + re.sub(r"\s", "", self.take(r"((?:[A-Z]\s*(?:_\{?\w\}?)?\s*)*)")[0]),))
        if command and name == "mathbb":
            letter = self.expect(r"\{?\s*[A-Z]\s*\}?").strip("{ }")
            infinity = Node("const", ("inf",))
            return Node("tuple", ("(", (negative(infinity), infinity), ")")) if letter == "R" else Node("sym", ("set " + letter,))
        if command and name in ("emptyset", "varnothing"):
            return Node("set", ())
        if not command and is_word(name) and not self.s[:match.start(2)][-1:].isalpha():
            raise Unreadable(f"the word {name!r}")
        known = name if command else next((name[:k] for k in range(len(name), 1, -1) if name[:k] in KNOWN), name[0])
        self.i = match.start(2) + len(known)
        if known == "sqrt":
            return self.root()
        if known in FUNCTIONS:
            return self.call(FUNCTIONS[known])
        if known in CONSTANTS or known in ("e", "i"):
            return Node("const", (CONSTANTS.get(known, known),))
        if command and known not in SYMBOLS:
            raise Unreadable(f"unknown command \\{known}")
        subscript = self.take(r"_\s*(?:\{((?:[^{}]|\{[^{}]*\})*)\}|(\\?[A-Za-z]+|\d))")
        return Node("sym", (known + ("_" + re.sub(r"[\s{}]", "", subscript[1] or subscript[2] or "") if subscript else ""),))

    def root(self):
        degree = num(2)
        if self.take(r"\["):
            degree = self.sum()
            self.expect(r"\]")
        return Node("pow", (self.script(), quotient(num(1), degree)))

    def call(self, name):
        """sin^2 x, \\log_2 8, \\ln|x|, \\sin 2x: without brackets the argument is the product that follows."""
        base = self.script() if name == "log" and self.take("_") else num(10)
        power = self.script() if self.take(r"\^") else None
        outer, self.trig = self.trig, name in TRIG
        if name in ("min", "max", "gcd", "lcm"):
            arguments = self.atom()
            if arguments.op != "tuple":
                raise Unreadable(f"{name} of one number")
            arguments = arguments.args[1]
        elif self.next(r"[({\[|]"):
            arguments = (self.atom(),)
        else:
            sign, factors = self.take("-"), [self.power()]
            while self.factor_follows() and not self.next(rf"\\?(?:{'|'.join(FUNCTIONS)})"):
                factors.append(self.power())
            arguments = (Node("mul", tuple(factors)),)
            arguments = (negative(arguments[0]),) if sign else arguments
        self.trig = outer
        inverse = power == negative(num(1)) and name in TRIG
        result = Node("call", ("a" * inverse + name, *([base] if name == "log" else []), *arguments))
        return Node("pow", (result, power)) if power and not inverse else result


KNOWN = {*FUNCTIONS, *CONSTANTS, "sqrt"}


def is_word(letters: str) -> bool:
    """Whether bare letters are prose rather than a product: `not 0` is no 0. Products are short, sorted (abcd) or capitals."""
    return letters.lower() in ("not", "no", "any", "all", "the", "yes", "non", "but") or (
        len(letters) > 3 and letters[1:].islower() and list(letters) != sorted(letters) and not any(k in letters for k in KNOWN))


def repeating(decimals: str) -> tuple[str, str]:
    """'1666' -> ('1', '6'), '142857142857' -> ('', '142857'): head and block before an ellipsis, or Unreadable."""
    match = re.search(r"(\d)\1\1+$", decimals) or re.search(r"(\d\d+?)\1+$", decimals)
    if not match:
        raise Unreadable("an ellipsis after digits that don't repeat")
    return decimals[:match.start()], match[1]


def render(node) -> str:
    """The tree on one line, for people and for names such as \\bar{x}."""
    if type(node) is Node:
        shown = node.args[:1] if node.op in ("num", "sym", "const") else node.args
        return ", ".join(map(render, shown)) if shown != node.args or node.op in ("sym", "const") else \
            f"{node.op}({', '.join(map(render, shown))})"
    return f"({', '.join(map(render, node))})" if type(node) is tuple else str(node)


def parse(text: str) -> Node:
    """The tree of a cleaned answer. Raises Unreadable."""
    return Parser(text).answer()


# ---- what a tree is worth ------------------------------------------------------------------------------------

class Evaluator:
    """The value of a tree at a point: exact (a Fraction) as long as it is rational, else to `bits` bits (mpmath)."""

    def __init__(self, bits: int):
        mpmath.mp.prec = bits
        self.magnitude = 0             # the largest log2 met: how many bits a difference may cancel
        self.complex = False           # whether a value on the way was not real

    def __call__(self, node: Node, at: dict):
        """`at` maps variables to Fractions. Raises Undefined, or Unreadable for what is no number or too large a one."""
        op, args = node
        if op == "num":
            return args[0]
        if op == "sym":
            return at[args[0]]
        if op == "const":
            return self.checked({"pi": +mpmath.pi, "e": +mpmath.e, "i": mpmath.j, "inf": mpmath.inf}[args[0]])
        if op not in ("add", "mul", "neg", "percent", "pow", "call"):
            raise Unreadable(f"not a number: {op}")
        values = [self(arg, at) for arg in args if type(arg) is Node]
        if op in ("add", "mul"):
            total = values[0]
            for value in values[1:]:
                if isinstance(total, Fraction) != isinstance(value, Fraction):
                    total, value = self.real(total), self.real(value)
                total = self.checked(total + value if op == "add" else total * value)
            return total
        x = values[0]
        return self.checked(-x if op == "neg" else x / 100 if op == "percent" else self.power(*values) if op == "pow" else
                            self.call(args[0], values))

    def checked(self, x):
        """The value itself, unless it is too large or not a number; notes its size and whether it is real."""
        if isinstance(x, Fraction):
            if x.numerator.bit_length() + x.denominator.bit_length() > MAX_BITS:
                raise Unreadable("number too large")
            return x
        if mpmath.isnan(x):
            raise Undefined("not a number")
        self.complex |= bool(mpmath.im(x))
        if x and mpmath.isfinite(x):
            self.magnitude = max(self.magnitude, int(mpmath.mag(x)))
        if self.magnitude > MAX_BITS:
            raise Unreadable("number too large")
        return x

    def real(self, x):
        """A Fraction as a float of the working precision; other values as they are."""
        return self.checked(mpmath.mpf(x.numerator) / x.denominator) if isinstance(x, Fraction) else x

    def power(self, x, y):
        """x^y; a rational root of a rational is exact where it can be, and real where its degree is odd: (-8)^(1/3) = -2."""
        if x == 0:
            if not isinstance(y, Fraction) or y < 0:
                raise Undefined("a power of zero")
            return Fraction(y == 0)
        if isinstance(y, Fraction) and y.denominator == 1 and abs(x) == 1 and isinstance(x, Fraction):
            return x ** int(y % 2)
        size = mpmath.mag(self.real(x)) if not isinstance(x, Fraction) else max(x.numerator.bit_length(), x.denominator.bit_length())
        if abs(y) * (abs(size) + 1) > MAX_BITS:
            raise Unreadable("power too large")
        if isinstance(x, Fraction) and isinstance(y, Fraction):
            if y.denominator == 1:
                return x ** int(y)
            if x > 0 or y.denominator % 2:
                sign = -1 if x < 0 and y.numerator % 2 else 1
                top, bottom = (integer_root(n, y.denominator) for n in (abs(x.numerator), x.denominator))
                if top and bottom:
                    return sign * Fraction(top, bottom) ** y.numerator
                return sign * mpmath.power(self.real(abs(x)), self.real(y))
        return mpmath.power(self.real(x), self.real(y))

    def call(self, name, args):
        if name in ("factorial", "binom", "gcd", "lcm"):
            if not all(isinstance(a, Fraction) and a.denominator == 1 and 0 <= a <= MAX_FACTORIAL for a in args):
                raise Undefined(f"{name} of anything but small natural numbers")
            return Fraction(getattr(math, {"binom": "comb"}.get(name, name))(*map(int, args)))
        if name in ("floor", "ceil") and isinstance(args[0], Fraction) or name in ("abs", "min", "max") and all(
                isinstance(a, Fraction) for a in args):
            return Fraction({"floor": math.floor, "ceil": math.ceil, "abs": abs, "min": min, "max": max}[name](*args))
        args = [self.real(a) for a in args]
        if name in ("floor", "ceil", "min", "max") and any(map(mpmath.im, args)):
            raise Undefined(f"{name} of a complex number")
        if name in ("ln", "log") and (0 in args or args[0] == 1 and name == "log"):
            raise Undefined("a logarithm of zero")
        if any(abs(a) > MAX_BITS for a in args) and name not in ("ln", "log", "abs", "min", "max"):
            raise Unreadable("argument too large")
        try:
            return MPMATH[name](*args)
        except (ZeroDivisionError, ValueError) as error:                               # a pole
            raise Undefined(name) from error


def snapped(x):
    """x, or the integer that it misses only by rounding: \\lfloor \\log_2 8 \\rfloor = 3."""
    return mpmath.nint(x) if abs(x - mpmath.nint(x)) < mpmath.ldexp(1, -150) else x


MPMATH = {name: getattr(mpmath, name) for name in set(FUNCTIONS.values()) if hasattr(mpmath, name)} | {
    "abs": abs, "log": lambda base, x: mpmath.ln(x) / mpmath.ln(base), "min": min, "max": max,
    "floor": lambda x: Fraction(int(mpmath.floor(snapped(x)))), "ceil": lambda x: Fraction(int(mpmath.ceil(snapped(x))))}


def integer_root(n: int, k: int) -> int | None:
    """The natural number r with r^k == n, if there is one."""
    if k > n.bit_length():
        return 1 if n == 1 else None
    low, high = 1, 1 << (n.bit_length() // k + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle ** k <= n else (low, middle - 1)
    return low if low ** k == n else None
