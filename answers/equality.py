"""When two trees are the same answer: the same number or function, the same solutions in any order, the same
region of the line, the same equation.

`equal` first asks for a region, if there is an inequality or a union on either side; then it takes both sides
apart into single solutions and matches them, each as often as it occurs; `equal_one` compares two single answers
by their kind. Numbers and functions are tree.py's. Bounded by the text's length, for which matching is quadratic,
by MAX_POINTS for plus-minus, and by MAX_VERTICES and MAX_ENDS for regions.
"""

import itertools
import math
from fractions import Fraction

from answers.tree import (INFINITY, NUMBERS, Node, Undefined, Unreadable, close, difference, mp, negative, num,
                          proportional, quotient, rebuild, render, same_scalar, sample, sym, symbols, values, walk)

MAX_POINTS = 64                         # that a tuple with plus-minus stands for
MAX_VERTICES, MAX_ENDS = 300, 20        # of the tree of a region; of its intervals
REGIONS = ("tuple", "set", "rel", "cup", "cap", "setminus", "or", "and", "list")


def equal(p, g) -> bool:
    """Whether two trees are the same answer: the same region, or the same solutions in any order."""
    if p == g:
        return True
    if p.op in REGIONS and g.op in REGIONS and any(
            n.op in ("cup", "cap", "setminus") or n.op == "rel" and set(n.args[0]) != {"="} for n in walk((p, g))):
        mine, theirs = region(p), region(g)
        if mine and theirs:
            (name, pieces), (other, others) = mine, theirs
            return (name == other or None in (name, other)) and len(pieces) == len(others) and all(
                a[::3] == b[::3] and equal(a[1], b[1]) and equal(a[2], b[2]) for a, b in zip(pieces, others))
    return matched(solutions(as_point(p, g)), solutions(as_point(g, p)))


def matched(p, g) -> bool:
    """Whether two lists hold the same things, each as often, in any order."""
    rest = list(g)
    for item in p if len(p) == len(g) else ():
        found = next((k for k, other in enumerate(rest) if equal_one(item, other)), None)
        if found is None:
            return False
        rest.pop(found)
    return len(p) == len(g)


def solutions(node) -> list[Node]:
    """The answers in a list, a set, an alternative or a plus-minus, one by one; other trees are one."""
    op, args = node
    if op in ("list", "or", "and", "set"):
        found = [one for item in args for one in ([item] if item.op == "set" else solutions(item))]
        return found[:1] if op == "or" and all(equal_one(found[0], other) for other in found[1:]) else found
    if op == "rel" and args[0][-1] in ("=", "in") and args[1][-1].op == "set":
        return solutions(args[1][-1])
    if op == "unit":
        return [Node("unit", (value, args[1])) for value in solutions(args[0])]
    if op == "tuple" and any(n.op in ("pm", "mp") for n in walk(node)):      # (\pm 3, \pm 2) is four points
        coordinates = [solutions(item) for item in args[1]]
        if math.prod(map(len, coordinates)) > MAX_POINTS:
            raise Unreadable("too many points")
        return [Node("tuple", (args[0], point, args[2])) for point in itertools.product(*coordinates)]
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
    if "set" in ops:                                                         # in a set of sets
        return p.op == g.op and equal(p, g)
    if "unit" in ops:
        units = {n.args[1] for n in (p, g) if n.op == "unit"}
        p, g = (n.args[0] if n.op == "unit" else n for n in (p, g))
        return (len(units) == 1 or "count" in units) and equal(p, g)
    if "ratio" in ops:                                                       # 3:4 = 6:8 = 3/4
        p, g = ([quotient(x, n.args[-1]) for x in n.args[:-1]] if n.op == "ratio" else [n] for n in (p, g))
        return len(p) == len(g) and all(map(equal, p, g))
    p_rows, g_rows = rows(p), rows(g)
    if p_rows or g_rows:
        return bool(p_rows and g_rows) and [len(r) for r in p_rows] == [len(r) for r in g_rows] and all(
            equal(x, y) for r, s in zip(p_rows, g_rows) for x, y in zip(r, s))
    if "tuple" in ops:
        return p.op == g.op and p.args[::2] == g.args[::2] and len(p.args[1]) == len(g.args[1]) and all(
            map(equal, p.args[1], g.args[1]))
    return p.op in NUMBERS and g.op in NUMBERS and same_scalar(p, g)


def rows(node):
    """The rows of a matrix, of a multiple of one, or of a vector (a, b) as a column; None for other trees."""
    if node.op == "matrix":
        return node.args[0]
    if node.op == "tuple" and node.args[::2] == ("(", ")"):
        return tuple((x,) for x in node.args[1])
    for k, inner in enumerate(node.args if node.op in ("mul", "neg") else ()):
        if inside := rows(inner):
            before, after = node.args[:k], node.args[k + 1:]
            return tuple(tuple(Node(node.op, (*before, x, *after)) for x in row) for row in inside)
    return None


def as_point(node, other):
    """x = 2, y = 3 as the point (2, 3) if the other side is a point, or (x, y) = a point; else the tree itself."""
    named = other.op == "rel" and other.args[1][0].op == "tuple"
    items = node.args if node.op in ("list", "and") and (named or other.op == "tuple") else ()
    pairs = dict(n.args[1] for n in items if n.op == "rel" and n.args[0] == ("=",))
    names = other.args[1][0].args[1] if named else tuple(sorted(pairs))
    if not names or len(pairs) != len(items) or set(names) != set(pairs) or {n.op for n in names} != {"sym"}:
        return node
    point = Node("tuple", ("(", tuple(pairs[name] for name in names), ")"))
    return point if named or list(pairs) == list(names) else node


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
    """Left sides that only name a quantity: x, (x, y), AB, f(2), m+n, m/n, P(A), |AB|, \\sin A."""
    op, args = node
    if op == "mul":                                                          # f(x), f^{-1}(x), AB, m/n
        inverse = num(-1), negative(num(1))
        head, *rest = (a.args[0] if a.op == "pow" and a.args[1] in inverse else a for a in args)
        return is_name(head) and all(is_name(a) or a.op == "num" and a in args for a in rest)
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
            bound = [{letter: sym(f"argument {k}") for k, letter in enumerate(f.args[1:])} for f in (name, other)]
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
    return operator.replace(">", "<"), difference(left, right)


# ---- regions of the line -----------------------------------------------------------------------------------

def region(node):
    """(variable or None, pieces) of an interval, inequality, union, "and", ...; None for other trees. A piece is
    (left bracket, low, high, right bracket); they come in order and don't touch.

    The ends that the tree names cut the line into points and gaps; each is inside or outside as a whole, which
    one value from it tells. 1 < x, x \\le 2 gives the cells (..1) [1] (1..2) [2] (2..), of which 2 and 3 are in."""
    if node.op == "rel" and node.args[0] == ("!=",):                         # x \ne \pm 1
        node = Node("and", tuple(solutions(node)))
    vertices = list(walk(node))
    names = {variable(n) for n in vertices if n.op == "rel"}
    if len(names) > 1 or len(vertices) > MAX_VERTICES:
        return None
    name = names.pop() if names else None
    at = {other: Fraction(2 * k + 3, 7) for k, other in enumerate(symbols(node))}        # parameters: any numbers
    try:
        cuts = [cut for end in ends(node, name) for cut in solutions(end)]
        places, unreal = values(cuts, at) if len(cuts) <= MAX_ENDS else ([], True)
        if unreal:
            return None
        line = sorted(((mp.mpmathify(x), cut) for x, cut in zip(places, cuts) if mp.isfinite(x)), key=lambda p: p[0])
        line = [pair for k, pair in enumerate(line) if not k or not close(pair[0], line[k - 1][0])]
        inside = [holds(node, at | {name: x}, x) for x in cells([place for place, _ in line])]
    except (Unreadable, Undefined):
        return None
    if node.op == "list" and name and not any(inside):                       # x < 2, x > 3: "or" was meant
        return region(Node("or", node.args))
    line = [negative(INFINITY), *(cut for _, cut in line), INFINITY]
    edges = [k for k, (a, b) in enumerate(zip([False, *inside], [*inside, False])) if a != b]
    return name, [("[" if i % 2 else "(", line[(i + 1) // 2], line[(j + 1) // 2], ")" if j % 2 else "]")
                  for i, j in zip(edges[::2], edges[1::2])]


def cells(places):
    """A value in each cell: below the first place, at it, between it and the next, ..., above the last."""
    if not places:
        return [Fraction(0)]
    between = [(mp.mpmathify(a) + mp.mpmathify(b)) / 2 for a, b in zip(places, places[1:])]
    gaps = [places[0] - 1, *between, places[-1] + 1]
    return [x for pair in itertools.zip_longest(gaps, places) for x in pair][:-1]


def variable(relation):
    """The variable of a relation: a letter in the middle; else alone on a side or in |...|, else any, the last.
    In f(x) \\in (0, 1) it is f(x)."""
    operators, sides = relation.args
    if operators == ("in",):
        return render(sides[0])
    middle = sides[1:2] if len(sides) == 3 else sides
    likely = [name for n in middle if n.op == "sym" or n.args[0] == "abs" for name in symbols(n)]
    return max(likely or symbols(sides), default=None)


def ends(node, name):
    """Trees of the places where being inside may change. Raises Unreadable for what is no region."""
    op, args = node
    if op == "tuple" and is_interval(*args):
        return args[1]
    if op == "rel" and args[0] != ("in",):
        return [root for left, right in zip(args[1], args[1][1:]) for root in roots(left, right, name)]
    if op == "set":
        return args
    if op not in REGIONS or op == "tuple" or op == "rel" and not is_name(args[1][0]):
        raise Unreadable(f"not a region: {op}")
    return [end for arg in (args[1][1:] if op == "rel" else args) for end in ends(arg, name)]


def is_interval(left, items, right) -> bool:
    """Two ends in round or square brackets, round at infinity."""
    return left in "([" and right in ")]" and len(items) == 2 and not any(
        INFINITY in walk(end) for end, bracket in zip(items, (left, right)) if bracket in "[]")


def roots(left, right, name):
    """Where left = right, for two sides that are linear in the variable, or linear but for one |...|."""
    for one, other in ((left, right), (right, left)):
        if one == sym(name) and name not in symbols(other):
            return [other]
    f, found = difference(left, right), []
    folded = [n for n in walk(f) if n.op == "call" and n.args[0] == "abs" and name in symbols(n)]
    if len(folded) > 1:
        raise Unreadable("more than one |...|")
    for sign in (lambda n: n, negative) if folded else (None,):
        branch = rebuild(f, lambda n: sign(n.args[1]) if n in folded else n)
        at_0, at_1 = (rebuild(branch, lambda n: num(x) if n == sym(name) else n) for x in (0, 1))
        slope = difference(at_1, at_0)
        line = Node("add", (at_0, Node("mul", (slope, sym(name)))))
        if not all(close(a, b) for a, b, _ in itertools.islice(sample(branch, line), 3)):
            raise Unreadable("not linear")
        if name in symbols(left, right):
            found.append(negative(quotient(at_0, slope)))
    return found


def holds(node, at, x) -> bool:
    """Whether the value x of the variable lies in the region; `at` has it under its name, and the parameters."""
    op, args = node
    if op == "tuple":
        low, high = values(args[1], at)[0]
        return compare("<" if args[0] == "(" else "<=", low, x) and compare("<" if args[2] == ")" else "<=", x, high)
    if op == "set":
        return any(close(x, place) for item in args for place in values(solutions(item), at)[0])
    if op == "rel" and args[0] == ("in",):
        return holds(args[1][1], at, x)
    if op == "rel":
        (*sides,), unreal = values(args[1], at)
        if unreal:
            raise Undefined("not real")
        return all(map(compare, args[0], sides, sides[1:]))
    inside = [holds(arg, at, x) for arg in args]
    if op == "setminus":
        return inside[0] and not inside[1]
    any_of = op in ("cup", "or") or op == "list" and args[0].op != "rel"
    return any(inside) if any_of else all(inside)


def compare(operator, a, b) -> bool:
    if operator in ("!=", "=") or close(a, b):
        return close(a, b) is (operator != "!=") and operator not in ("<", ">")
    return (mp.mpmathify(a) < mp.mpmathify(b)) is (operator[0] == "<")
