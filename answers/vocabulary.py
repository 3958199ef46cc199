"""The vocabulary of answers, and clean(): one spelling for each thing that answers spell in many ways.

Unicode, fonts, spacing, thousands separators, \\text and "The answer is" are settled here, as text, so that the
grammar (latex.py) need not know of them: "The answer is $\\dfrac{1}{2}\\text{ cm}$." becomes "\\frac{1}{2} cm".
What is in no table here is no word of the language. Every rewriting is one pass of one regular expression over at
most MAX_CHARS characters.
"""

import re

from answers.tree import Unreadable

MAX_CHARS = 2000

# ---- words and signs ---------------------------------------------------------------------------------------

UNICODE = str.maketrans({pair[0]: pair[2:] + " " * pair[-1].isalpha() for pair in r"""
    −:- –:- —:- ‐:- ×:\times ÷:\div ·:\cdot ⋅:\cdot ∙:\cdot ∗:* °:^\circ º:^\circ π:\pi ∞:\infty ≤:\le ≥:\ge
    ⩽:\le ⩾:\ge ≠:\ne ≈:\approx ∪:\cup ⋃:\cup ∈:\in ±:\pm ∓:\mp ℝ:\mathbb{R} ∅:\emptyset ′:' ’:' ⌊:\lfloor
    ⌋:\rfloor ⌈:\lceil ⌉:\rceil ∠:\angle ⟨:\langle ⟩:\rangle …:\ldots ¢:cents £:\pounds €:\euro ，:, ％:% （:(
    ）:) ＝:= ；:; ：:: ＋:+ ∖:\setminus ½:\frac{1}{2} ⅓:\frac{1}{3} ⅔:\frac{2}{3} ¼:\frac{1}{4} ¾:\frac{3}{4}
    α:\alpha β:\beta γ:\gamma δ:\delta ε:\epsilon θ:\theta λ:\lambda μ:\mu ρ:\rho σ:\sigma τ:\tau φ:\phi
    ω:\omega Δ:\Delta Ω:\Omega ⁄:/ ∩:\cap ∧:\land ∨:\lor Å:\AA Å:\AA""".split()}
                        | dict.fromkeys("\u00a0\u2009\u202f\u3000", " "))
SCRIPTS = (("^", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻ⁿ", "0123456789-n"), ("_", "₀₁₂₃₄₅₆₇₈₉", "0123456789"))
SYMBOLS = set("""alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi
    rho sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega
    hbar ell odot""".split())
TRIG = ("sin", "cos", "tan", "cot", "sec", "csc")
FUNCTIONS = ({f: f for f in (*TRIG, "sinh", "cosh", "tanh", "ln", "log", "exp", "abs", "floor", "ceil")}
             | {arc + t: "a" + t for arc in ("arc", "a") for t in TRIG} | {"lg": "log", "cis": "expj"})
BASES = dict(zip("two three four five six seven eight nine ten eleven twelve sixteen".split(),
                 "2 3 4 5 6 7 8 9 10 11 12 16".split()))
CONSTANTS = {"pi": "pi", "infty": "inf", "infinity": "inf", "inf": "inf"}
KNOWN = {*FUNCTIONS, *CONSTANTS, "sqrt"}
LONGEST = max(map(len, KNOWN))
RELATIONS = {r"=|\\equiv": "=", r"\\approx|\\simeq": "~",
             r"<=|\\leqslant|\\leq|\\le": "<=", r">=|\\geqslant|\\geq|\\ge": ">=",
             r"<|\\lt": "<", r">|\\gt": ">", r"!=|\\neq|\\ne": "!=", r"\\in": "in"}

# A group a unit: its name, then its other spellings. Letters in ( ) count only in \text, \mathrm or after /.
# The group "count" holds words that only say what was counted: they are read and forgotten.
UNITS = {word.strip("()"): group.split()[0].strip("()") for group in """
    degree degrees deg; dollar dollars USD; pounds; euro euros; cent cents; mm millimeter millimeters; cm
    centimeter centimeters centimetre centimetres; km kilometer kilometers kilometre kilometres; (m) meter
    meters metre metres; nm nanometer nanometers; in inch inches; ft foot feet; yd yard yards; mi mile miles;
    (s) second seconds sec secs; min minute minutes mins; (h) hour hours hr hrs; day days; week weeks; month
    months; year years yr yrs; kg kilogram kilograms; (g) gram grams; mg; lb lbs; oz ounce ounces; ton tons; (L)
    liter liters litre litres; mL ml milliliters; gallon gallons; (N) newton newtons; (J) joule joules; kJ; cal
    calories; kcal; eV; keV; MeV; erg ergs; (W) watt watts; kW; (V) volt volts Volt Volts; (A) ampere amperes
    amps; Hz hertz; kHz; MHz; GHz; Pa; kPa; MPa; GPa; (K) kelvin; (C) coulomb coulombs; (F) farad; angstrom
    angstroms AA; mol mole moles; amu; rad radian radians; arcsec arcsecs arcsecond arcseconds; arcmin
    arcminutes; parsec parsecs pc; kpc; Mpc; AU; Myr; Gyr; kN; ohm ohms; micron microns micrometer micrometers;
    bit bits; mph; kph; rpm; count unit units ways way people persons students divisors factors solutions points
    pairs triangles integers numbers sides apples oranges books games cards coins marbles children men women
    boys girls times digits terms zeros rolls balls tickets pieces choices values squares lines edges vertices
    faces diagonals arrangements permutations subsets cookies pages cars eggs votes atoms photons electrons
    steps moves outcomes handshakes bushels magnitude magnitudes different distinct possible ordered positive
    """.split(";") for word in group.split()}


# ---- tokens: regular expressions for latex.rx, which skips the spaces before them ----------------------------

SEPARATOR = (r"[,;]?\s*\\?(or|OR|lor|vee)(?![A-Za-z])|[,;]?\s*\\?(and|AND|land|wedge)(?![A-Za-z])"
             r"|[,;](?!\s*\\(?:\\|end\b))")
RELATION = rf"&?\s*(?:{'|'.join(f'({pattern})' for pattern in RELATIONS)})\s*&?"         # aligned at & in systems
# 1\frac{1}{2}, 1 1/2
MIXED = (r"(\d+)\s*\\frac\s*(?:\{\s*(\d+)\s*\}|(\d))\s*(?:\{\s*(\d+)\s*\}|(\d))"
         r"|(\d+)\s+(\d+)\s*/\s*(\d+)(?![\d.])")
# 52_8, (52)_{8}, 1AF_{16} (letters are digits if the base is 11 to 16), 101_{two}, 52 base 8
DIGITS = r"\d+(?![A-F])|\d[\dA-F]*(?=[\s)]*_[\s{]*1[1-6])"
BASED = (rf"(?:\(\s*({DIGITS})\s*\)|({DIGITS}))\s*(?:_|(?:in )?base\b)\s*"
         rf"(?:\{{\s*(\d+|{'|'.join(BASES)})\s*\}}|(\d+|{'|'.join(BASES)})(?![a-z]))")
# 0.1\overline{6}, 0.1(6), 0.166\ldots
RECURRING = (r"(\d*)\.(\d*)(?:\\(?:overline|bar|dot)\s*(?:\{\s*(\d+)\s*\}|(\d))|\((\d+)\)(?!\s*\^))"
             r"|(\d*)\.(\d+)\s*\\(?:l|c)?dots")
# {}_6C_3, C(6, 3)
COMBINATIONS = r"(?:\{\s*\})?_\s*\{?\s*(\w+?)\s*\}?\s*C\s*_\s*\{?\s*(\w+)\s*\}?|C\s*\(\s*(\w+)\s*,\s*(\w+)\s*\)"
GROUPED = r"([1-9]\d{0,2}(?:,\d{3})+(?!\d)(?:\.\d+)?)()"                                 # 1,234.5
NUMBER = r"(\d+(?:\.(?!\.)\d*)?|\.\d+)(?:[eE]([+-]?\d{1,3})(?![\d.]))?"                  # 12, 1., .5, 4.5e33
UNIT = (r"(/|per\b)?(?:\\cdot|\*)?\s*(?<![A-Za-z])(?:(square|sq|cubic|cu)\b\.?\s*)?"     # cm^2, /s, per square mile
        r"(?:\\unit\{(\w)\}|(\\(?:AA|dollar|pounds|euro)|[A-Za-z]+))\.?(?:\s*\^\s*\{?\s*(-?\d)\s*\}?)?")
DEGREE = r"\^\s*(?:\{\s*\\circ\s*\}|\\circ)(?:\s*(?:\\unit\{[CFK]\}|[CF](?![A-Za-z])))?|\\degree"
MATRIX = r"\\begin\s*\{([pbv]|small|)(?:matrix|array)\}(?:\s*\{[clr|\s]*\})?"
CASES = (r"(?:\\\{\s*)?\\begin\s*\{(?:cases|align(?:ed)?|split|gathered)\*?\}"
         r"|\\\{\s*\\begin\s*\{(?:array|matrix)\}(?:\s*\{[clr|\s]*\})?")
END = r"\\end\s*\{\w*\*?\}"
TURNED = r"\[\s*(?=$|\\c[au]p|\\setminus|[,;})]|or\b|and\b)"                             # the end of ]1, 2[
ENDS_TERM = (r"\\(?:\}|\\|(?:p?b?mod|c[au]p|setminus|end|r(?:floor|ceil|angle|vert|brack)|pm|mp|mid|choose|over)"
             rf"(?![A-Za-z]))|(?:if|for|when|otherwise)(?![A-Za-z])|{TURNED}")
# opening: (as which it counts, what closes it)
BRACKETS = {"(": ("(", r"[)\]]|" + TURNED), "[": ("[", r"[)\]]|" + TURNED), "]": ("(", r"[)\]]|" + TURNED),
            "\\{": ("{", r"\\\}"), "\\langle": ("(", r"\\rangle"), "\\lbrack": ("[", r"\\rbrack|\)")}
FENCES = {"|": ("abs", r"\|"), "\\vert": ("abs", r"\\vert"), "\\lvert": ("abs", r"\\rvert"),
          "\\lfloor": ("floor", r"\\rfloor"), "\\lceil": ("ceil", r"\\rceil")}


# ---- one spelling for each thing ---------------------------------------------------------------------------

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
THOUSANDS = re.compile(r"(?<![\d.,}!])\d{1,3}(?:(?:\{,\}|,\s*\\!|\\,|\\ |~| )\s*\d{3})+(?!\d)")
STYLE = re.compile(r"\\(?:(?:display|text|script)style|(?:no)?limits|rm|bf|it|left|right|[bB]igg?[lrm]?|"
                   r"q?quad|thinspace|boldsymbol|math(?:bf|it|sf|cal)|vec|overrightarrow|hat|bm|therefore|"
                   r"triangle)(?![A-Za-z])\.?|(?<!\\)\\[!;:,> ]|~")
TEXT = re.compile(r"\\(?:text(?:bf|it|rm|normal)?|mathrm|[mh]box|operatorname\*?)\s*"
                  r"(?:\{((?:[^{}]|\{[^{}]*\})*)\}|(\w))")
REWRITES = [(re.compile(pattern), to) for pattern, to in (
    (r"\s+", " "), (r"√ ?(\d+|[a-zA-Z])", r"\\sqrt{\1}"), ("√", r"\\sqrt"),
    (r"(?<=\d) ?\.\.\.", r"\\ldots "), (r"\\\$", r"\\dollar "), (r"\$|(?<!\\)\\[()\[\]]", " "),
    (r"\\boxed(?= ?\{)", ""), (r"\\cr(?![a-z])", r"\\\\"), (r"_ ?\{ ?\\(?:max|min) ?\}(?= ?=)", ""),
    (r"\\lbrace(?![a-z])", r"\\{"), (r"\\rbrace(?![a-z])", r"\\}"), (r"\\[dtc](frac|binom)", r"\\\1"),
    (r"\\frac ?\{ ?(\\(?:text|mathrm) ?\{\w+\}) ?\} ?\{ ?(\\(?:text|mathrm) ?\{\w+\}) ?\}", r"\1/\2"),
    (r"\\backslash(?![a-z])|-(?= ?\\\{)", r"\\setminus "), (r"\b(?:np|numpy|math|sympy)\.(?=[a-z])", ""),
    (r"\b[Aa]ll real numbers\b", r"\\mathbb R"), (r"\b[Nn]o (?:real )?solutions?\b", r"\\emptyset "),
    (r"\\cup(?=[^()\[\]\\{}]*(?:[<>]|\\[lg](?:eq?|t)\b))", " or "),                        # x < 1 \cup x > 2
    (r"(?<=[\d}])( ?)m ?/ ?s\b", r"\1\\text{m/s}"),                                          # bare: 5 m/s
    (r"\bpercent\b", "%"), (r"\bmillion\b", r"\\cdot 10^6"), (r"\bbillion\b", r"\\cdot 10^9"))]
ENDING = re.compile(r"(?:[.,;:\s]|\\\\|\\$)+$|(?:,|\bwhere|\bfor) *[a-z] *\\in *\\mathbb *\{?[ZN]\}?[.\s]*$"
                    r"|(?<=\S),? *\bfor all (?:real |integers? )?[a-z][.\s]*$")
LABEL = re.compile(r"^(?:(?!not\b)[A-Za-z]?[a-z]{3,}(?: [a-z]+)* ?=|(?i:answer) ?:"                   # Area = 5
                   r"|(?i:(?:the )?(?:final )?answer is:?|option|choice)(?= )) ?(?=\S)")


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
    if len(content) == 1 or re.search(r"/|\^|\\cdot", content):
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
