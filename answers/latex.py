"""The grammar of answers: cleaned text -> tree. A recursive descent, a method of Parser for each rule.

Nothing that it reads is run, looked up or imported: the result is a tree of `Node(op, args)` (tree.py), and what
is not in the grammar or its vocabulary raises `Unreadable`. Reading takes time linear in the length (MAX_CHARS)
and is nested at most MAX_DEPTH deep; nothing is evaluated here.

    answer  := item ((',' | ';' | 'or' | 'and') item)*              several solutions
    item    := side (('=' | '<' | '\\le' | '\\in' ...) side)*
    side    := measure (('\\cup' | '\\cap' | '\\setminus' | ':') measure)*
    measure := sum [unit]                                           3.2 \\text{ cm}^2
    sum     := ['-'] term (('+' | '-' | '\\pm') term)*
    term    := power (['\\cdot' | '/'] power)*                       side by side multiplies; 1/2x is (1/2)x
    power   := atom ('^' script | '!' | '%' | '^\\circ')*
    atom    := number | word | '(' answer ')' | ']' answer '[' | '\\{' answer '\\}' | '|' sum '|' | matrix | cases

Not read: prose, and \\sum, \\prod, \\int, \\lim (an answer that still has one is not worked out).
"""

import re
from fractions import Fraction
from functools import cache

from answers.tree import REALS, Node, Unreadable, negative, num, quotient, render, sym, symbols, walk
from answers.vocabulary import (BASED, BASES, BRACKETS, CASES, COMBINATIONS, CONSTANTS, DEGREE, END, ENDS_TERM,
                                FENCES, FUNCTIONS, GROUPED, KNOWN, LONGEST, MATRIX, MIXED, NUMBER, RECURRING, RELATION,
                                RELATIONS, SEPARATOR, SYMBOLS, TRIG, UNIT, UNITS)

MAX_DEPTH = 25


@cache
def rx(pattern):
    """Compiled, after spaces; a command such as \\in is not the beginning of a longer one such as \\infty."""
    return re.compile(r"\s*(?:" + re.sub(r"(\\\\[A-Za-z]+)(?=\||\)|$)", r"\1(?![A-Za-z])", pattern) + ")")


class Parser:
    """Recursive descent over one cleaned text: a method reads one rule of the grammar from self.i onward."""

    def __init__(self, text: str):
        self.s, self.i, self.depth = text, 0, 0
        self.bars = self.brackets = 0          # open |...| ; open ( [ \\{, where commas don't group thousands
        self.in_set = False                    # inside \{ \}, where | and : mean "such that"
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
        node = self.choices()
        self.expect("$")
        return node

    def choices(self) -> Node:
        """One item; or several, as an "or", an "and" or (between commas) a "list"."""
        items, op = [self.item()], "list"
        while separator := self.take(SEPARATOR):
            op = "or" if separator[1] else "and" if separator[2] and op == "list" else op
            item, last = self.item(), items[-1]
            if last.op == "rel" and last.args[0] == ("!=",) and item.op != "rel":        # x \ne 0, 1
                item = Node("rel", (("!=",), (last.args[1][0], item)))
            items.append(item)
        return items[0] if len(items) == 1 else Node(op, tuple(items))

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
        node = self.measure()
        while operator := self.take(r"\\cup|\\cap|\\setminus"):
            node = Node(operator[0].strip()[1:], (node, self.measure()))
        parts = [node]
        while not self.in_set and self.take(":"):
            parts.append(self.measure())
        return Node("ratio", tuple(parts)) if len(parts) > 1 else node

    def measure(self):
        """An expression and its unit; a currency stands in front."""
        self.degrees = False
        front = self.take(r"(-?)\s*\\(dollar|pounds|euro)")
        value = negative(self.sum()) if front and front[1] else self.sum()
        names = [front[2]] if front else ["degree"] if self.degrees else []
        while unit := self.unit(after=bool(names)):
            names += [unit] * (unit != "count" or not names)
        if self.take(r"\\[pb]?mod"):
            names.append(f"mod {render(self.script())}")
        self.degrees = False
        return Node("unit", (value, " ".join(names))) if names else value

    def unit(self, step=True, after=False) -> str:
        """One factor of a unit, such as `cm^2`, `/s` or `per hour`; '' if none is next. A bare letter is a
        variable, but for one under a unit, as in km/h."""
        match = self.next(UNIT)
        name = match and UNITS.get((match[3] or match[4]).strip("\\"))
        if not name or match[4] and len(match[4]) == 1 and not (match[1] and after):
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
        return product(factors)

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
                base = sym(base.args[0] + "'" * (prime[0].count("'") + prime[0].count("prime")))
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
        value = num(digits[1]) if digits else self.atom()
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
        elif choice := self.take(COMBINATIONS):
            value = Node("call", ("binom", *(parse(part) for part in choice.groups() if part)))
        elif self.take(CASES):
            value = self.cases()
        elif opener := self.take(r"\(|\[|\]|\\\{|\\langle|\\lbrack"):
            value = self.bracket(*BRACKETS[opener[0].strip()])
        elif self.take(r"\{"):
            value = self.group()
        elif matrix := self.take(MATRIX):
            value = self.matrix(matrix[1])
        elif fence := self.take(r"\||\\l?vert|\\lfloor|\\lceil"):
            name, closing = FENCES[fence[0].strip()]
            self.bars += 1
            inner = self.sum()
            self.bars -= 1
            self.expect(closing)
            value = determinant(inner) if inner.op == "matrix" else Node("call", (name, inner))
        else:
            value = self.word()
        self.depth -= 1
        return value

    def number(self):
        """Digits in a base, a mixed number, a recurring decimal, or an integer or decimal as written.
        An integer has at most MAX_CHARS digits, an exponent three."""
        if m := self.take(BASED):
            digits, base = (part.lstrip("0") for part in m.groups() if part)
            base = BASES.get(base, base)
            return num(digits) if base == "10" and digits.isdigit() else Node("based", (digits, base))
        if m := self.take(MIXED):
            whole, top, bottom = (Fraction(part) for part in m.groups() if part)
            if not 0 < top < bottom:                           # 2\frac{7}{3}: a mixed number or a product?
                raise Unreadable("an improper mixed number")
            return num(whole + top / bottom)
        if m := self.take(RECURRING):
            whole, head, block = (m[6], *repeating(m[7])) if m[7] else (m[1], m[2], m[3] or m[4] or m[5])
            recurring = Fraction(int(block), 10 ** len(block) - 1)
            return num((int(whole + head or "0") + recurring) / 10 ** len(head))
        m = not self.brackets and self.take(GROUPED) or self.take(NUMBER)
        if not m:
            raise Unreadable(f"no number at {self.s[self.i:self.i + 20]!r}")
        whole, _, decimals = m[1].replace(",", "").partition(".")
        ulp = Fraction(10) ** (int(m[2] or 0) - len(decimals))
        return num(int(whole + decimals) * ulp, ulp if decimals or m[2] else None)

    def bracket(self, left, closing):
        """(a, b) and <a, b> are ordered, [a, b) is an interval, \\{a, b\\} a set; (a) and [a] only group."""
        saved, in_set = (self.bars, self.trig, self.in_set), left == "{"
        self.bars, self.trig, self.in_set = int(in_set), self.trig and not in_set, in_set
        self.brackets += 1
        content = Node("list", ()) if in_set and self.next(closing) else self.choices()
        condition = self.choices() if in_set and self.take(r"\||:|\\mid") else None
        right = self.expect(closing).replace("\\rangle", ")").replace("\\rbrack", "]").replace("[", ")")
        self.brackets -= 1
        self.bars, self.trig, self.in_set = saved
        items = content.args if content.op in ("list", "or", "and") else (content,)
        if condition:                                          # \{x | x > 2\}, \{x \in \mathbb{R} | x > 2\}
            element = items[0]
            if element.op == "rel" and element.args[1][1] == REALS:
                element = element.args[1][0]
            known = element.op == "sym" and element in walk(condition)
            return condition if known else Node("tuple", ("{", (*items, condition), "}"))
        if in_set:
            return Node("set", items)
        grouping = content.op != "list" and left + right in ("()", "[]")
        return content if grouping else Node("tuple", (left, items, right))

    def group(self):
        """{...} groups; also {n \\choose k}, {a \\over b}, and {1, 2} where \\{1, 2\\} was meant."""
        bars, self.bars = self.bars, 0
        content = self.choices()
        if self.take(r"\\choose"):
            content = Node("call", ("binom", content, self.sum()))
        elif self.take(r"\\over"):
            content = quotient(content, self.sum())
        self.expect(r"\}")
        self.bars = bars
        return Node("set", content.args) if content.op == "list" else content

    def matrix(self, kind):
        """A matrix, or ("v") its determinant."""
        rows = [[self.sum()]]
        while separator := self.take(r"&|\\\\(?:\s*\[[^\]]*\])?"):
            if "&" not in separator[0]:
                if self.next(END):
                    break
                rows.append([])
            rows[-1].append(self.sum())
        self.expect(END)
        matrix = Node("matrix", (tuple(map(tuple, rows)),))
        return determinant(matrix) if kind == "v" else matrix

    def cases(self):
        """Equations that hold together, or values each with its condition: one a row."""
        rows, op = [], "and"
        while not rows or not self.take(END):
            self.take("&")
            rows.append(self.item())
            if self.take(r"[,;]?\s*(?:&|if|for|when|otherwise)"):
                self.take("if|for|when|otherwise")
                condition = sym("otherwise") if self.next(rf"[,;]?\s*\\\\|{END}") else self.choices()
                rows[-1], op = Node("tuple", ("case", (rows[-1], condition), ")")), "set"
            self.expect(rf"[,;]?\s*(?:\\\\(?:\s*\[[^\]]*\])?|(?={END}))")
        self.take(r"\\\}")
        return Node(op, tuple(rows))

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
        if not self.s[max(start - 1, 0):start].isalpha() and is_word(letters):
            raise Unreadable(f"the word {letters!r}")
        name = next((letters[:k] for k in range(LONGEST, 1, -1) if letters[:k] in KNOWN), letters[0])
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
            return sym("angle " + vertices.replace(" ", ""))
        if name == "mathbb":
            letter = self.expect(r"\{\s*[A-Z]\s*\}|[A-Z]").strip("{ }")
            return REALS if letter == "R" else sym("set " + letter)
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
        subscript = self.take(r"_\s*(?:\{((?:[^{}]|\{[^{}]*\})*)\}|([a-z]{3,}|\\[A-Za-z]+|\w))")
        if subscript:
            name += "_" + re.sub(r"[\s{}]", "", subscript[1] or subscript[2] or "")
        if self.take(r"\(\s*0\s*\)"):                         # I(0) e^{-t} is no multiple of 0
            name += "(0)"
        return sym(name)

    def call(self, name):
        """sin^2 x, \\log_2 8, \\ln|x|, \\sin 2x: without brackets the argument is a whole product."""
        base = self.script() if name == "log" and self.take("_") else num(10)
        power = self.script() if self.take(r"\^") else None
        outer, self.trig = self.trig, name in TRIG or name == "expj"
        if self.next(r"[({\[|]"):
            argument = self.atom()
        else:
            sign, factors = self.take("-"), [self.power()]
            while self.factor_follows() and not self.next(rf"\\?(?:{'|'.join(FUNCTIONS)})"):
                factors.append(self.power())
            argument = negative(product(factors)) if sign else product(factors)
        self.trig = outer
        inverse = power == negative(num(1)) and name in TRIG
        result = Node("call", ("a" * inverse + name, *([base] if name == "log" else []), argument))
        return Node("pow", (result, power)) if power and not inverse else result


def product(factors) -> Node:
    return factors[0] if len(factors) == 1 else Node("mul", tuple(factors))


def determinant(matrix) -> Node:
    (rows,) = matrix.args
    if len(rows) > 4 or any(len(row) != len(rows) for row in rows):
        raise Unreadable("a determinant of more than 4 x 4, or of no square")
    return Node("call", ("det", *(entry for row in rows for entry in row)))


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
