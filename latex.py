"""Read a mathematical answer, LaTeX or plain text, into a small tree: `parse("\\\\frac12")`.

A recursive-descent parser over a whitelist grammar. Nothing here runs, imports or evaluates what it reads: the
result is a `Node(op, args)`, and whatever is not in the grammar raises `Unreadable`. Time is linear in the length
of the text (at most MAX_CHARS) and the depth is at most MAX_DEPTH, so parsing hostile text is cheap.

    answer   := item ((',' | ';' | 'or' | 'and') item)*            list of solutions
    item     := [name '='] side (('=' | '<' | '\\le' | '\\in' ...) side)*
    side     := measure (('\\cup' | '\\setminus' | ':') measure)*
    measure  := sum [unit]                                         3.2 \\text{ cm}^2
    sum      := ['-'] term (('+' | '-' | '\\pm') term)*
    term     := power (['*' | '/' | '\\cdot'] power)*              juxtaposition multiplies
    power    := atom ('^' argument | '!' | '%' | "'" | '^\\circ')*
    atom     := number | letter | function power | '(' answer ')' | '|' sum '|' | matrix | ...
"""

import re
from fractions import Fraction
from typing import NamedTuple

MAX_CHARS, MAX_DEPTH, MAX_DIGITS = 2000, 40, 1000


class Unreadable(ValueError):
    """The text is not in the grammar, or is larger than an answer may be."""


class Node(NamedTuple):
    """One vertex of the tree. `args` are Nodes, except for the leaves:
    num (value: Fraction, ulp: Fraction | None)   ulp = weight of the last digit shown, for decimals
    sym (name,)    const ('pi' | 'e' | 'i' | 'inf',)    based (digits, base)    unit (Node, name)
    rel (operators, sides)    tuple (left, items, right)    named (name, variable, body)
    call (function, *args)    matrix (kind, rows)    list, set, union, ratio (items)
    """
    op: str
    args: tuple


def num(value, ulp=None):
    return Node("num", (Fraction(value), ulp))


# ---- vocabulary ----------------------------------------------------------------------------------------------

UNICODE = {"−": "-", "–": "-", "—": "-", "‐": "-", "×": "\\times ", "÷": "\\div ", "·": "\\cdot ", "⋅": "\\cdot ",
           "∙": "\\cdot ", "∗": "*", "°": "^\\circ ", "º": "^\\circ ", "π": "\\pi ", "∞": "\\infty ", "≤": "\\le ",
           "≥": "\\ge ", "⩽": "\\le ", "⩾": "\\ge ", "≠": "\\ne ", "≈": "\\approx ", "∪": "\\cup ", "∈": "\\in ",
           "±": "\\pm ", "∓": "\\mp ", "ℝ": "\\mathbb{R}", "∅": "\\emptyset ", "′": "'", "″": "''", "’": "'",
           "⌊": "\\lfloor ", "⌋": "\\rfloor ", "⌈": "\\lceil ", "⌉": "\\rceil ", "∠": "\\angle ", "⟨": "\\langle ",
           "⟩": "\\rangle ", "…": "\\ldots ", "£": "\\pounds ", "€": "\\euro ", "，": ",", "％": "%", "：": ":",
           "（": "(", "）": ")", "＝": "=", "；": ";", "＋": "+", "∖": "\\setminus ", "⋃": "\\cup ",
           "½": "\\frac{1}{2}", "⅓": "\\frac{1}{3}", "⅔": "\\frac{2}{3}", "¼": "\\frac{1}{4}", "¾": "\\frac{3}{4}",
           "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u3000": " "}
GREEK = ("alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau "
         "upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega hbar ell odot "
         "oplus").split()
UNICODE |= dict(zip("αβγδεζηθικλμνξρστυφχψωΓΔΘΛΞΣΦΨΩ", (f"\\{g} " for g in (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon phi chi psi omega "
    "Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega").split())))
SUPERSCRIPT = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻ⁿ", "0123456789-n"))
SUBSCRIPT = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789"))

TRIG = "sin cos tan cot sec csc".split()
INVERSE = {f"{p}{t}": f"a{t}" for p in ("arc", "a") for t in TRIG}
FUNCTIONS = ({t: t for t in TRIG} | INVERSE | {h: h for h in ("sinh", "cosh", "tanh", "ln", "log", "exp")}
             | {"lg": "log", "min": "min", "max": "max", "gcd": "gcd", "lcm": "lcm", "sqrt": "sqrt", "abs": "abs",
                "floor": "floor", "ceil": "ceil"})
CONSTANTS = {"pi": "pi", "infty": "inf", "infinity": "inf", "inf": "inf", "oo": "inf"}

# One line a unit: the canonical name, then how it is also written. '' holds nouns that only say what was counted.
UNITS = {alias: line.split()[0].strip("-") for line in """
degree degrees deg
dollar dollars USD usd pounds euro euros
cent cents
mm millimeter millimeters millimetre millimetres
cm centimeter centimeters centimetre centimetres
km kilometer kilometers kilometre kilometres
m- meter meters metre metres
nm nanometer nanometers
pm- picometer picometers
in- inch inches
ft foot feet
yd yard yards
mi mile miles
s- second seconds sec secs
min- minute minutes mins
h- hour hours hr hrs
day days
week weeks
month months
year years yr yrs
kg kilogram kilograms
g- gram grams gm
mg milligram milligrams
lb lbs
oz ounce ounces
ton tons tonne tonnes
liter liters litre litres L-
mL ml milliliter milliliters
gallon gallons
N- newton newtons
J- joule joules
kJ
cal calorie calories
kcal
eV
keV
MeV
erg ergs
W- watt watts
kW
V- volt volts Volt Volts
A- ampere amperes amp amps
Hz hertz
kHz
MHz
Pa
kPa
K- kelvin Kelvin
C- coulomb coulombs
F- farad
angstrom angstroms Angstrom Angstroms AA
mol mole moles
amu
rad radian radians
arcsec arcsecs arcsecond arcseconds
arcmin arcminute arcminutes
parsec parsecs pc
magnitude magnitudes
bit bits
unit units
mph
kph
rpm
Gyr
- ways way people persons students divisors factors solutions points pairs triangles integers numbers sides apples
- oranges books games cards coins marbles children men women boys girls times digits terms zeros rolls balls tickets
- pieces choices values squares lines roots edges vertices faces diagonals arrangements permutations combinations
- subsets cookies pages trees cars eggs votes atoms photons steps moves committees outcomes handshakes bushels
""".strip().splitlines() for alias in (word.strip("-") for word in line.split()) if alias}
CURRENCY = {"dollar": "dollar", "pounds": "dollar", "euro": "dollar"}

RELATION = {"=": "=", "\\approx": "=", "\\simeq": "=", "\\equiv": "=", "<": "<", ">": ">", "\\lt": "<", "\\gt": ">",
            "<=": "<=", ">=": ">=", "\\le": "<=", "\\ge": ">=", "\\leq": "<=", "\\geq": ">=", "\\leqslant": "<=",
            "\\geqslant": ">=", "\\ne": "!=", "\\neq": "!=", "!=": "!=", "\\in": "in"}

# ---- spelling: one way to write each thing -------------------------------------------------------------------

STYLES = re.compile(r"\\(?:displaystyle|textstyle|scriptstyle|limits|nolimits|rm|bf|it|left|right|[bB]igg?[lrm]?|quad|"
                    r"qquad|thinspace|boldsymbol|mathbf|mathit|mathsf|vec|overrightarrow|hat|mathcal|bm|pmb|therefore|"
                    r"triangle)(?![A-Za-z])\.?|(?<!\\)\\[!;:> ]|~")
TEXT = re.compile(r"\\(?:text|mathrm|textbf|textit|textrm|textnormal|mbox|hbox|operatorname\*?)\s*\{([^{}]*)\}"
                  r"|\\(?:text|mathrm)\s+([A-Za-z])")
THOUSANDS = re.compile(r"(?<![\d.,}])(?<!\\!)\d{1,3}(?:(?:\{,\}|,\s*\\!|\\,|\\ |~| )\s*\d{3})+(?![\d])")
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")


def clean(text: str) -> str:
    """One spelling for unicode, spacing, fonts, thousands and text. Raises Unreadable for control characters
    (null bytes, right-to-left marks, ...) and for texts longer than MAX_CHARS."""
    text = text.replace("\n", " ").replace("\t", " ").strip()
    if len(text) > MAX_CHARS or CONTROL.search(text):
        raise Unreadable("too long, or control characters")
    text = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻ⁿ]+", lambda m: "^{" + "".join(SUPERSCRIPT[c] for c in m[0]) + "}", text)
    text = re.sub("[₀₁₂₃₄₅₆₇₈₉]+", lambda m: "_{" + "".join(SUBSCRIPT[c] for c in m[0]) + "}", text)
    text = re.sub(r"(\d)([½⅓⅔¼¾])", r"\1 \2", text)
    text = re.sub(r"√\s*(\d+|[a-zA-Z])", r"\\sqrt{\1}", text).replace("√", "\\sqrt")
    text = "".join(UNICODE.get(c, c) for c in text)
    text = text.replace("\\$", "\\dollar ").replace("$", " ")
    text = re.sub(r"(?<!\\)\\[()\[\]]", " ", text)
    text = THOUSANDS.sub(lambda m: re.sub(r"\D", "", m[0]), text)
    text = re.sub(r"(\d)\{([.,])\}(\d)", r"\1.\3", text)                             # 12{.}8 and 12{,}8 are decimals
    text = STYLES.sub(" ", re.sub(r"(?<!\\)\\,", " ", text))
    text = re.sub(r"\\[dtc]frac", r"\\frac", text).replace("\\dbinom", "\\binom").replace("\\tbinom", "\\binom")
    text = TEXT.sub(untext, text)
    text = re.sub(r"\b(?:np|numpy|math|sympy)\.(?=[a-z])", "", text)
    text = text.strip().strip("\\ ") if text.endswith("\\") else text.strip()
    while text.startswith("{") and closing_brace(text, 0) == len(text) - 1:
        text = text[1:-1].strip()
    return re.sub(r"[.,;:\s]+$", "", re.sub(r"\s+", " ", text))


def untext(match) -> str:
    """\\text{ cm} -> ' cm '; a single letter that may be a unit stays apart from the variable: \\text{ m} -> \\unit m."""
    content = (match[1] or match[2] or "").replace("~", " ").strip()
    return f" \\unit{{{content}}} " if len(content) == 1 and content in UNITS else f" {content} "


def closing_brace(text: str, start: int) -> int:
    """Index of the brace that closes text[start] == '{', or -1. Escaped braces don't count."""
    depth = 0
    for match in re.compile(r"\\.|[{}]", re.S).finditer(text, start):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return match.start()
    return -1


# ---- the parser ----------------------------------------------------------------------------------------------

def rx(pattern):
    return re.compile(r"\s*(?:" + pattern + ")")


WORD = r"(?![A-Za-z])"
SEPARATOR = rx(rf"(?:[,;]\s*)?(?:\\?(?:or|and|OR|AND|lor|land|vee|wedge){WORD})|[,;]")
RELOP = rx("|".join(sorted((re.escape(op) + (WORD if op[-1].isalpha() else "") for op in RELATION), key=len,
                           reverse=True)))
NAMED = rx(r"((?:\\[A-Za-z]+|[A-Za-z])(?:\s*_\s*(?:\{[^{}]*\}|\w))?'*)\s*"
           r"(?:\(\s*([A-Za-z](?:\s*,\s*[A-Za-z])*)\s*\)\s*)?=(?!=)")
UNIT = rx(r"(?:per\b|\\cdot|\*)?\s*(?<![A-Za-z])(?:(square|sq|cubic|cu)\b\.?\s*)?(?:\\unit\{(\w)\}|(\\AA|[A-Za-z]+))\.?"
          r"(?:\s*\^\s*\{?\s*(-?\d)\s*\}?)?")
MIXED = rx(r"(\d+)\s*\\frac\s*(?:\{\s*(\d+)\s*\}|(\d))\s*(?:\{\s*(\d+)\s*\}|(\d))|(\d+)\s+(\d+)\s*/\s*(\d+)(?![\d.])")
BASED = rx(r"\(?\s*(\d[\dA-F]*)\s*\)?\s*_\s*(?:\{\s*(\d+)\s*\}|(\d+))")
RECURRING = rx(r"(\d*)\.(\d*)\\(?:overline|bar|dot)\s*(?:\{\s*(\d+)\s*\}|(\d))|(\d*)\.(\d+)\s*(?:\\l?dots|\\cdots|\.{3})")
NUMBER = rx(r"(?:\d+(?:\.(?!\.)\d*)?|\.\d+)(?:[eE][+-]?\d+(?![\d.]))?")
GROUPED = rx(r"\d{1,3}(?:,\d{3})+(?![\d])(?:\.\d+)?")
DEGREE = rx(r"\^\s*(?:\{\s*\\circ\s*\}|\\circ)|\\degree" + WORD)
PRIME = rx(r"'+|\^\s*(?:\{\s*(?:\\prime\s*)+\}|\\prime)")
LETTERS = rx(r"\\?([A-Za-z]+)")
MATRIX = rx(r"\\begin\s*\{(p|b|v|small|)(matrix|array)\}(?:\s*\{[clr|\s]*\})?")
INTEGER = re.compile(r"\s*(\d+)")


class Parser:
    """Recursive descent over one cleaned text. Each method reads one rule of the grammar from self.i onward."""

    def __init__(self, text: str):
        self.s, self.i, self.depth = text, 0, 0
        self.bars = self.brackets = 0          # open |...| ; open ( [ \{, in which commas never group thousands
        self.alternatives = False              # saw "or" between solutions
        self.trig = self.degrees = False       # inside sin(...): degrees are pi/180 ; saw ^\circ outside

    def take(self, pattern):
        """Match a compiled pattern, or a literal string after spaces, and step over it; None if it isn't next."""
        if isinstance(pattern, str):
            i = self.i
            while self.s[i:i + 1] == " ":
                i += 1
            if not self.s.startswith(pattern, i):
                return None
            if pattern[-1].isalpha() and self.s[i + len(pattern):i + len(pattern) + 1].isalpha():
                return None
            self.i = i + len(pattern)
            return pattern
        match = pattern.match(self.s, self.i)
        if match:
            self.i = match.end()
        return match

    def next(self, pattern):
        """Whether `pattern` is next, without stepping."""
        start = self.i
        found = self.take(pattern)
        self.i = start
        return found

    def expect(self, *literals):
        for literal in literals:
            if self.take(literal):
                return literal
        raise Unreadable(f"expected {' or '.join(literals)} at ...{self.s[self.i:self.i + 20]!r}")

    def nested(self, rule, *args):
        """Call a rule one level deeper; the depth is bounded, so recursion is too."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable("nested too deep")
        result = rule(*args)
        self.depth -= 1
        return result

    # -- structure

    def answer(self):
        items = self.items()
        if self.i < len(self.s.rstrip()):
            raise Unreadable(f"can't read ...{self.s[self.i:self.i + 20]!r}")
        return items[0] if len(items) == 1 else Node("or" if self.alternatives else "list", tuple(items))

    def items(self):
        items = [self.item()]
        while separator := self.take(SEPARATOR):
            self.alternatives |= bool(re.search("or|vee", separator[0], re.I))
            items.append(self.item())
        return items

    def item(self):
        """name = side, or side (relation side)*"""
        self.take(rx(r"(?:=|\\approx)"))
        named = self.take(NAMED)
        if named:
            variable = tuple(re.findall("[A-Za-z]", named[2])) if named[2] else None
            name = Parser(named[1]).power()
            body = self.side()
            if not self.next(RELOP):
                return Node("named", (name, variable, body))
            first = name if variable is None else Node("mul", (name, Node("sym", ("".join(variable),))))
            sides, operators = [first, body], ["="]
        else:
            sides, operators = [self.side()], []
        while operator := self.take(RELOP):
            operators.append(RELATION[operator[0].strip()])
            sides.append(self.side())
        return Node("rel", (tuple(operators), tuple(sides))) if operators else sides[0]

    def side(self):
        first = self.measure()
        for literal, op in (("\\cup", "union"), ("\\setminus", "minus"), (":", "ratio")):
            parts = [first]
            while self.take(literal):
                parts.append(self.measure())
            if len(parts) > 1:
                return Node(op, tuple(parts))
        return first

    def measure(self):
        """An expression with its unit; the unit ends it. Currency stands in front."""
        sign = self.take("-") if self.next(rx(r"-\s*\\(?:dollar|pounds|euro)")) else None
        money = self.take(rx(r"\\(dollar|pounds|euro)" + WORD))
        self.degrees = False
        value = self.sum()
        value = Node("neg", (value,)) if sign else value
        name = CURRENCY[money[1]] if money else "degree" if self.degrees else ""
        while unit := self.unit():
            name = f"{name} {unit}".strip()
        return Node("unit", (value, name)) if name else value

    def unit(self):
        """One factor of a unit, such as `cm^2`, `/ s` or `per hour`; '' if none is next."""
        start = self.i
        slash = self.take("/")
        match = self.take(UNIT)
        name = match and UNITS.get((match[2] or match[3]).strip("\\"))
        if name is None or (len(match[3] or "12") == 1 and not slash):          # a bare letter is a variable
            self.i = start
            return ""
        power = {"square": "2", "sq": "2", "cubic": "3", "cu": "3"}.get(match[1], match[4] or "1")
        inverse = "/" if slash or "per" in match[0].split() else ""
        return f"{inverse}{name}{power if power != '1' else ''}" or "count"

    # -- arithmetic

    def sum(self):
        total = None
        while True:
            sign = self.take(rx(r"\+|-|\\pm" + WORD + r"|\\mp" + WORD))
            if total is not None and not sign:
                return total
            sign = sign[0].strip() if sign else "+"
            term = self.term()
            if sign == "-":
                term = Node("neg", (term,))
            if sign in ("\\pm", "\\mp"):
                total = Node("pm" if sign == "\\pm" else "mp", (total or num(0), term))
            else:
                total = term if total is None else Node("add", (total, term))

    def term(self):
        product = self.power()
        while True:
            if self.next(rx(r"/")) and self.is_unit_ahead():
                return product
            if self.take(rx(rf"\\cdot{WORD}|\\times{WORD}|\*(?!\*)|\\ast{WORD}")):
                product = Node("mul", (product, self.signed_power()))
            elif self.take(rx(rf"/|\\div{WORD}")):
                product = Node("div", (product, self.signed_power()))
            elif self.starts_factor():
                product = Node("mul", (product, self.power()))
            else:
                return product

    def signed_power(self):
        return Node("neg", (self.power(),)) if self.take("-") else self.power()

    def is_unit_ahead(self):
        start = self.i
        found = self.unit()
        self.i = start
        return bool(found)

    def starts_factor(self):
        """Whether the next characters begin a factor that multiplies what came before."""
        if self.next(SEPARATOR) or self.next(RELOP) or self.is_unit_ahead():
            return False
        if self.next("|"):
            return self.bars == 0
        if self.next(rx(r"\\(?:cup|setminus|end|rfloor|rceil|rangle|rvert|pm|mp|mid|choose|over|circ|degree|\}|\\)")):
            return False
        return bool(self.next(rx(r"[A-Za-z({\[\\]")) or (self.next(NUMBER) and not self.s[:self.i].rstrip()[-1].isdigit()))

    def power(self):
        base = self.nested(self.atom)
        while True:
            if base.op == "sym" and (prime := self.take(PRIME)):
                base = Node("sym", (base.args[0] + "'" * (prime[0].count("'") + prime[0].count("prime")),))
            elif self.take(DEGREE):
                base = Node("mul", (base, Node("div", (Node("const", ("pi",)), num(180))))) if self.trig else base
                self.degrees = not self.trig
                if self.take(rx(rf"\\unit\{{([CFK])\}}|[CF]{WORD}")):
                    pass
            elif self.take(rx(r"\^|\*\*")):
                if base.op == "matrix" and self.take(rx(r"T|\{\s*T\s*\}|\\top|\{\s*\\top\s*\}")):
                    base = Node("matrix", (base.args[0], tuple(zip(*base.args[1]))))
                else:
                    base = Node("pow", (base, self.nested(self.script)))
            elif self.take(rx(r"!(?!=)")):
                base = Node("call", ("factorial", base))
            elif self.take(rx(r"\\?%")):
                base = Node("percent", (base,))
            else:
                return base

    def script(self):
        """What ^ applies to: a braced group, or a signed number or atom (2^10 and 10^-3 as people type them)."""
        if self.take("-"):
            return Node("neg", (self.script(),))
        if digits := self.take(INTEGER):
            return self.integer(digits[1])
        return self.atom()

    def argument(self):
        """What \\frac applies to: a braced group, one digit, or one atom."""
        if digit := self.take(rx(r"(\d)")):
            return num(int(digit[1]))
        return self.atom()

    # -- atoms

    def integer(self, digits):
        if len(digits) > MAX_DIGITS:
            raise Unreadable("too many digits")
        return num(int(digits))

    def atom(self):
        if self.next(rx(r"[\d.]")) or self.next(BASED):
            return self.number()
        for opener in ("(", "[", "\\{", "\\langle", "\\lbrace", "\\lbrack"):
            if self.take(opener):
                return self.nested(self.bracket, opener)
        if self.take("{"):
            return self.nested(self.group)
        if self.take("|") or self.take(rx(r"\\(?:lvert|vert|mid)" + WORD)):
            self.bars += 1
            inside = self.nested(self.sum)
            self.bars -= 1
            if not self.take(rx(r"\||\\(?:rvert|vert|mid)" + WORD)):
                raise Unreadable("unclosed |")
            return Node("call", ("abs", inside))
        for name, left, right in (("floor", "\\lfloor", "\\rfloor"), ("ceil", "\\lceil", "\\rceil")):
            if self.take(left):
                inside = self.nested(self.sum)
                self.expect(right)
                return Node("call", (name, inside))
        if matrix := self.take(MATRIX):
            return self.nested(self.matrix, matrix[1] or matrix[2])
        return self.word()

    def number(self):
        """An integer, decimal (with the weight of its last digit), mixed or recurring number, or digits in a base."""
        if m := self.take(BASED):
            return Node("based", (m[1], int((m[2] or m[3])[:3])))
        if m := self.next(MIXED):
            whole, top, bottom = (int(x[:MAX_DIGITS]) for x in
                                  (m[1] or m[6], m[2] or m[3] or m[7], m[4] or m[5] or m[8]))
            if 0 < top < bottom:
                self.take(MIXED)
                return Node("mixed", (num(whole), num(Fraction(top, bottom))))
        if m := self.take(RECURRING):
            whole, head, block = (m[1], m[2], m[3] or m[4]) if m[6] is None else (m[5], *repeating(m[6]))
            shift, period = 10 ** len(head), 10 ** len(block) - 1
            return num(Fraction(int(whole + head or "0"), shift) + Fraction(int(block), period * shift))
        m = None if self.brackets else self.take(GROUPED)
        m = m or self.take(NUMBER)
        if not m:
            raise Unreadable("not a number")
        mantissa, _, exponent = m[0].strip().replace(",", "").lower().partition("e")
        whole, dot, decimals = mantissa.partition(".")
        if len(mantissa) > MAX_DIGITS or len(exponent) > 4:
            raise Unreadable("too many digits")
        ulp = Fraction(10) ** (int(exponent or 0) - len(decimals))
        return num(int(whole + decimals) * ulp, ulp if decimals or exponent else None)

    def bracket(self, opener):
        """(a, b) and <a, b> are ordered, [a, b) an interval, \\{a, b\\} a set; one item in ( ) or [ ] is grouping."""
        closers = {"(": (")", "]"), "[": ("]", ")"), "\\langle": ("\\rangle",), "\\lbrack": ("\\rbrack", ")")}
        bars, trig, self.bars, self.trig = self.bars, self.trig, 0, self.trig and opener in "(["
        self.brackets += 1
        items = [] if self.next(rx(r"\\\}|\\rbrace")) else self.items()
        if opener in ("\\{", "\\lbrace"):
            if self.take(rx(rf"\||:|\\mid{WORD}")):
                items = [self.item()]
            self.expect("\\}", "\\rbrace")
            result = Node("set", tuple(items))
        else:
            closer = self.expect(*closers[opener])
            pair = {"\\langle": "(", "\\lbrack": "["}.get(opener, opener), {"\\rangle": ")", "\\rbrack": "]"}.get(closer, closer)
            result = items[0] if len(items) == 1 and pair in (("(", ")"), ("[", "]")) else \
                Node("tuple", (pair[0], tuple(items), pair[1]))
        self.brackets -= 1
        self.bars, self.trig = bars, trig
        return result

    def group(self):
        """{...} is grouping; also {n \\choose k}, {a \\over b}, and {1, 2} where \\{1, 2\\} was meant."""
        bars, self.bars = self.bars, 0
        items = self.items()
        if self.take("\\choose"):
            items = [Node("call", ("binom", items[0], self.sum()))]
        elif self.take("\\over"):
            items = [Node("div", (items[0], self.sum()))]
        self.expect("}")
        self.bars = bars
        return items[0] if len(items) == 1 else Node("set", tuple(items))

    def matrix(self, kind):
        rows = [[]]
        while True:
            rows[-1].append(self.sum())
            if self.take("\\\\"):
                self.take(rx(r"\[[^\]]*\]"))
                if not self.next("\\end"):
                    rows.append([])
                    continue
            elif self.take("&"):
                continue
            self.expect("\\end")
            self.take(rx(r"\s*\{(?:[pbv]|small)?(?:matrix|array)\}"))
            return Node("matrix", ("det" if kind == "v" else "matrix", tuple(map(tuple, rows))))

    def word(self):
        """A command or a run of letters: a function, a constant, a known word, or one variable."""
        start = self.i
        match = self.take(LETTERS) or self.take(rx(r"\\unit\{(\w)\}"))
        if not match:
            raise Unreadable(f"can't read ...{self.s[self.i:self.i + 20]!r}")
        name, command = match[1], "\\" in match[0]
        if name == "unit" and command:
            return Node("sym", (self.take(rx(r"\{(\w)\}"))[1],))
        if name == "frac" and command:
            return Node("div", (self.nested(self.argument), self.nested(self.argument)))
        if name == "binom":
            return Node("call", ("binom", self.nested(self.argument), self.nested(self.argument)))
        if name == "sqrt":
            degree = self.nested(self.root_degree)
            return Node("pow", (self.nested(self.script), Node("div", (num(1), degree))))
        if name in FUNCTIONS:
            return self.nested(self.call, FUNCTIONS[name])
        if name in CONSTANTS:
            return Node("const", (CONSTANTS[name],))
        if name == "angle" and command:
            return Node("sym", ("angle " + re.sub(r"\s", "", self.take(rx(r"[A-Z](?:\s*[A-Z])*|"))[0]),))
        if name in ("bar", "overline", "dot", "ddot", "tilde") and command:
            return Node("sym", (f"{name} {render(self.nested(self.argument))}",))
        if name == "mathbb" and command:
            letter = self.take(rx(r"\{?\s*([A-Z])\s*\}?"))
            infinity = Node("const", ("inf",))
            return (Node("tuple", ("(", (Node("neg", (infinity,)), infinity), ")")) if letter and letter[1] == "R"
                    else Node("sym", ("mathbb " + (letter[1] if letter else ""),)))
        if command and name in ("emptyset", "varnothing"):
            return Node("set", ())
        if command and name not in GREEK:
            raise Unreadable(f"unknown command \\{name}")
        if not command:                                    # a run of letters is a product: take the first one
            for prefix in sorted((*FUNCTIONS, *CONSTANTS), key=len, reverse=True):
                if name.startswith(prefix) and len(prefix) > 2:
                    self.i = start + match[0].index(name) + len(prefix)
                    return (self.nested(self.call, FUNCTIONS[prefix]) if prefix in FUNCTIONS and prefix != "sqrt"
                            else Node("const", (CONSTANTS.get(prefix, "pi"),)))
            name = name[0]
            self.i = start + len(match[0]) - len(match[1]) + 1
        if name in ("e", "i"):
            return Node("const", (name,))
        return self.symbol(name)

    def symbol(self, name):
        """A variable with its subscript: x, x_1, \\lambda_{\\text{red}}."""
        if self.take("_"):
            if self.take("{"):
                end = closing_brace(self.s, self.s.rindex("{", 0, self.i))
                if end < 0:
                    raise Unreadable("unclosed subscript")
                subscript, self.i = self.s[self.i:end], end + 1
            else:
                subscript = (self.take(rx(r"\\?[A-Za-z]+|\d")) or [""])[0]
            name += "_" + re.sub(r"[\s{}]", "", subscript)
        return Node("sym", (name,))

    def root_degree(self):
        if not self.take("["):
            return num(2)
        degree = self.sum()
        self.expect("]")
        return degree

    def call(self, name):
        """sin^2 x, \\log_2 8, \\ln|x|, \\sin 2x: without brackets the argument is the product that follows."""
        base = self.nested(self.script) if name == "log" and self.take("_") else num(10)
        power = self.nested(self.script) if self.take("^") else None
        base = self.nested(self.script) if name == "log" and power and self.take("_") else base
        trig, self.trig = self.trig, name in TRIG
        if name in ("min", "max", "gcd", "lcm"):
            self.expect("(")
            arguments = tuple(self.items())
            self.expect(")")
        elif self.next(rx(r"[({\[|]")):
            arguments = (self.nested(self.atom),)
        else:
            negative = self.take("-")
            argument = self.power()
            while self.starts_factor() and not self.next(rx(r"\\?(?:" + "|".join(FUNCTIONS) + ")")):
                argument = Node("mul", (argument, self.power()))
            arguments = (Node("neg", (argument,)) if negative else argument,)
        self.trig = trig
        if power == Node("neg", (num(1),)) and name in TRIG:
            name, power = "a" + name, None
        result = Node("call", (name, *((base,) if name == "log" else ()), *arguments))
        return Node("pow", (result, power)) if power else result


def repeating(decimals: str) -> tuple[str, str]:
    """'1666' -> ('1', '6'), '142857142857' -> ('', '142857'): head and block of an ellipsis. No block: Unreadable."""
    match = re.search(r"(\d)\1\1+$", decimals) or re.search(r"(\d\d+?)\1+$", decimals)
    if not match:
        raise Unreadable("an ellipsis after digits that don't repeat")
    return decimals[:match.start()], match[1]


def render(node) -> str:
    """The tree as a compact text, for the command line and for names such as \\bar{x}."""
    if not isinstance(node, Node):
        return "" if node is None else str(node)
    if node.op in ("num", "sym", "const"):
        return str(node.args[0])
    parts = (("(" + ", ".join(map(render, a)) + ")") if type(a) is tuple else render(a) for a in node.args)
    return f"{node.op}({', '.join(parts)})"


def parse(text: str) -> Node:
    """The tree of a cleaned answer. Raises Unreadable."""
    if not text:
        raise Unreadable("empty")
    return Parser(text).answer()
