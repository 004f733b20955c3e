"""A second, naive executor of programs on CLEVR scenes, written from docs/programs.md alone: JSON, loops, no numpy.

It shares no code with `kyvo.programs.execute`. `Borderline` says that a distance lies too near to a threshold to tell.
"""

import json
import math
from collections import Counter
from itertools import product
from typing import Any

RADIUS = {"large": 0.7, "small": 0.35}
SIZES = ["small", "large"]


class Wrong(Exception):
    """The name of the error that is due."""


class Borderline(Exception):
    """Too near to tell."""


def _unit(x, y):
    length = math.hypot(x, y)
    return x / length, y / length


BEHIND = _unit(-7.48113, 6.50764)  # the camera looks at the origin from there
RIGHT = (BEHIND[1], -BEHIND[0])


class Naive:
    def __init__(self, objects: list[dict[str, Any]]):
        self.objects = objects
        self.names = list(range(len(objects)))  # of the objects, as they were numbered at first
        self.meant = {}  # names of objects, or a word, under the JSON of what a "together" says

    # Geometry

    def spot(self, i):
        x, y, z = self.objects[i]["location"]
        return x * RIGHT[0] + y * RIGHT[1], x * BEHIND[0] + y * BEHIND[1], z

    def toward(self, i, direction):
        u, v, z = self.spot(i)
        along = {"right": u, "left": -u, "behind": v, "front": -v, "above": z, "below": -z}
        if " " in direction:
            depth, side = direction.split()
            return (along["behind" if depth == "back" else "front"] + along[side]) / 2**0.5
        return along[direction]

    def outline(self, i):
        x, y, _ = self.objects[i]["location"]
        r = self.radius(i)
        return [(x + a * r, y + b * r) for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]

    def radius(self, i):
        return RADIUS[self.objects[i]["size"]]

    def gap(self, i, j):
        """Distance of the two outlines on the floor; negative where they overlap."""
        flat = [self.objects[k]["shape"] == "cube" for k in (i, j)]
        if not any(flat):
            a, b = self.objects[i]["location"], self.objects[j]["location"]
            return math.hypot(a[0] - b[0], a[1] - b[1]) - self.radius(i) - self.radius(j)
        if all(flat):
            return _polygons(self.outline(i), self.outline(j))
        cube, ball = (i, j) if flat[0] else (j, i)
        x, y, _ = self.objects[ball]["location"]
        inside = all((x - a[0]) * (b[1] - a[1]) - (y - a[1]) * (b[0] - a[0]) < 0 for a, b in _edges(self.outline(cube)))
        near = min(_to_segment((x, y), a, b) for a, b in _edges(self.outline(cube)))
        return (-near if inside else near) - self.radius(ball)

    def solid_gap(self, i, j):
        height = abs(self.spot(i)[2] - self.spot(j)[2]) - self.radius(i) - self.radius(j)
        return max(self.gap(i, j), height)

    def stands(self, relation, j, i):
        """Whether j stands so to i."""
        if relation in ("left", "right", "front", "behind"):
            return _above(self.toward(j, relation) - self.toward(i, relation), 0.2)
        if relation == "below":
            return self.stands("above", i, j)
        if relation == "above":
            rise = self.spot(j)[2] - self.spot(i)[2]
            low = min(self.radius(i), self.radius(j))
            return _above(rise, self.radius(i) + self.radius(j) - 0.15 * low) and not _above(self.gap(i, j), 0)
        if relation == "near":
            return not _above(self.solid_gap(i, j), 2 * self.radius(i))
        return not _above(self.solid_gap(i, j), 0.1 * min(self.radius(i), self.radius(j)))

    def in_region(self, i, region):
        u, v, _ = self.spot(i)
        if any(abs(abs(value) - 1) < 1e-6 for value in (u, v)):
            raise Borderline
        across = "left" if u < -1 else "right" if u > 1 else "middle"
        deep = "front" if v < -1 else "back" if v > 1 else "middle"
        if " " not in region:
            return region in (across, deep) if region != "middle" else across == deep == "middle"
        first, second = region.split()
        if second == "middle":
            return (first, "middle") in ((across, deep), (deep, across))
        return (deep, across) == (first, second)

    # Selectors

    def find(self, s):
        meant = self.meant.get(json.dumps(s))
        if meant is not None:
            return [i for i, name in enumerate(self.names) if name in meant]
        return sorted(set(getattr(self, "s_" + s["op"])(s)))

    def some(self, s):
        found = self.find(s)
        if not found:
            raise Wrong("NoSuchObject")
        return found

    def one(self, s):
        found = self.some(s)
        if len(found) > 1:
            raise Wrong("AmbiguousReference")
        return found[0]

    def s_everything(self, s):
        return range(len(self.objects))

    def s_where(self, s):
        return [i for i in self.find(s["of"]) if self.objects[i][s["field"]] == s["value"]]

    def s_where_same(self, s):
        if s.get("some"):
            pairs = product(self.find(s["of"]), self.find(s["like"]))
            return [i for i, j in pairs if i != j and self.objects[i][s["field"]] == self.objects[j][s["field"]]]
        like = self.one(s["like"])
        word = self.objects[like][s["field"]]
        return [i for i in self.find(s["of"]) if i != like and self.objects[i][s["field"]] == word]

    def s_shared(self, s):
        fields = []
        while s["op"] == "shared":
            fields.append(s["field"])
            s = s["of"]
        found = self.find(s)
        words = [[self.objects[i][field] for field in fields] for i in found]
        return [i for i, word in zip(found, words, strict=True) if words.count(word) > 1]

    def s_both(self, s):
        first, second = self.find(s["first"]), self.find(s["second"])
        return [i for i in first if i in second]

    def s_either(self, s):
        return self.find(s["first"]) + self.find(s["second"])

    def s_except(self, s):
        without = self.find(s["without"])
        return [i for i in self.find(s["of"]) if i not in without]

    def s_related(self, s):
        if s.get("some"):
            to = self.find(s["to"])
            pairs = product(self.find(s["of"]), to)
            return [i for i, anchor in pairs if i != anchor and self.stands(s["relation"], i, anchor)]
        to = self.some(s["to"])
        return [
            i for i in self.find(s["of"]) if i not in to and all(self.stands(s["relation"], i, anchor) for anchor in to)
        ]

    def s_between(self, s):
        ends = self.find(s["first"]) if s["first"] == s["second"] else []
        if len(ends) != 2:
            ends = [self.one(s["first"]), self.one(s["second"])]
        if ends[0] == ends[1]:
            raise Wrong("ProgramError")
        found = []
        for i in self.find(s["of"]):
            if i in ends:
                continue
            (a, b, _), (c, d, _), (x, y, _) = self.spot(ends[0]), self.spot(ends[1]), self.spot(i)
            turn = abs(math.degrees(math.atan2(b - y, a - x) - math.atan2(d - y, c - x))) % 360
            if _above(min(turn, 360 - turn), 120, 1e-6):
                found.append(i)
        return found

    def s_more_than(self, s):
        found, than = self.find(s["of"]), self.one(s["than"])
        values = self.measure(s["by"], [*found, than])
        return [i for i, value in zip(found, values, strict=False) if value > values[-1] + 1e-6]

    def s_in_region(self, s):
        return [i for i in self.find(s["of"]) if self.in_region(i, s["region"])]

    def ranked(self, s):
        found = self.find(s["of"])
        values = dict(zip(found, self.measure(s["by"], found), strict=True))
        if s["by"]["op"] in ("closeness", "farness"):
            to = self.some(s["by"]["to"])
            found = [i for i in found if len(to) > 1 or i != to[0]]
        return found, values

    def s_extreme(self, s):
        found, values = self.ranked(s)
        if len(found) < s["rank"]:
            return []
        goal = sorted((values[i] for i in found), reverse=True)[s["rank"] - 1]
        return [i for i in found if abs(values[i] - goal) <= 1e-6]

    def s_the(self, s):
        of, count = s["of"], s["count"]
        if of["op"] == "extreme":
            found, values = self.ranked(of)
            sizes = {"bigness": "front", "smallness": "behind"}.get(of["by"]["op"])
            tie = {i: self.toward(i, sizes) if sizes else 0 for i in found}
            order = sorted(found, key=lambda i: (-values[i], -tie[i], i))
            taken = order[of["rank"] - 1 :][:count]
            if len(taken) == count:
                rest = [i for i in order if i not in taken and abs(values[i] - values[taken[-1]]) <= 1e-6]
                if rest and not sizes:
                    raise Wrong("AmbiguousReference")
                return taken
        found = self.find(of)
        if len(found) != count:
            raise Wrong("NoSuchObject" if len(found) < count else "AmbiguousReference")
        return found

    def s_earlier(self, s):
        raise Wrong("NoSuchObject")

    def s_numbered(self, s):
        if s["index"] not in self.names:
            raise Wrong("NoSuchObject")
        return [self.names.index(s["index"])]

    def measure(self, by, found):
        op = by["op"]
        if op == "along":
            return [self.toward(i, by["direction"]) for i in found]
        if op in ("closeness", "farness"):
            to = self.some(by["to"])
            sign = 1 if op == "farness" else -1
            far = lambda i: [math.dist(self.spot(i), self.spot(j)) for j in to if j != i]  # noqa: E731
            return [sign * min(far(i), default=0) for i in found]
        if op == "centrality":
            return [-math.hypot(*self.spot(i)[:2]) for i in found]
        sign = 1 if op == "bigness" else -1
        return [sign * SIZES.index(self.objects[i]["size"]) for i in found]

    # Questions

    def ask(self, q):
        return getattr(self, "q_" + q["op"])(q)

    def q_count(self, q):
        return len(self.find(q["of"]))

    def q_count_words(self, q):
        return len({self.objects[i][q["field"]] for i in self.find(q["of"])})

    def q_number(self, q):
        return q["value"]

    def q_arithmetic(self, q):
        a, b = self.ask(q["first"]), self.ask(q["second"])
        if q["operation"] == "divided by" and b == 0:
            raise Wrong("ProgramError")
        return {
            "plus": lambda: a + b,
            "minus": lambda: a - b,
            "difference": lambda: max(a, b) - min(a, b),
            "times": lambda: a * b,
            "divided by": lambda: math.floor(a / b),
        }[q["operation"]]()

    def q_exists(self, q):
        return len(self.find(q["of"])) > 0

    def q_every(self, q):
        of = self.some(q["of"])
        among = self.find(q["among"])
        return all(i in among for i in of)

    def q_alike(self, q):
        words = [self.objects[i][q["field"]] for i in self.some(q["of"])]
        return all(word == words[0] for word in words)

    def q_compare(self, q):
        a, b = self.ask(q["first"]), self.ask(q["second"])
        return {"equal": a == b, "less": a < b, "greater": a > b, "at least": a >= b, "at most": a <= b}[
            q["comparison"]
        ]

    def q_same_word(self, q):
        if q["first"]["field"] != q["second"]["field"]:
            raise Wrong("ProgramError")
        return self.ask(q["first"]) == self.ask(q["second"])

    def q_bigger_than(self, q):
        pair = [self.one(q["first"]), self.one(q["second"])]
        first, second = self.measure(q["by"], pair)
        return first > second + 1e-6

    def q_and(self, q):
        return self.ask(q["first"]) & self.ask(q["second"])

    def q_or(self, q):
        return self.ask(q["first"]) | self.ask(q["second"])

    def q_not(self, q):
        return not self.ask(q["of"])

    def q_word_of(self, q):
        words = {self.objects[i][q["field"]] for i in self.some(q["of"])}
        if len(words) > 1:
            raise Wrong("AmbiguousReference")
        return words.pop()

    def q_literally(self, q):
        return q["value"]

    def q_commonest(self, q):
        counts = Counter(self.objects[i][q["field"]] for i in self.some(q["of"]))
        goal = (min if q["least"] else max)(counts.values())
        best = [word for word, count in counts.items() if count == goal]
        if len(best) > 1:
            raise Wrong("AmbiguousReference")
        return best[0]

    def q_which(self, q):
        return tuple(self.find(q["of"]))

    def q_words_of(self, q):
        found, fields = self.some(q["of"]), q["fields"]
        rows = [tuple(self.objects[i][field] for field in fields) for i in found]
        if len(fields) == 1:
            return tuple(dict.fromkeys(row[0] for row in rows))
        return rows[0] if len(set(rows)) == 1 else tuple(rows)

    def q_where_is(self, q):
        return tuple(self.objects[self.one(q["of"])]["location"])

    def q_distance(self, q):
        a, b = self.one(q["first"]), self.one(q["second"])
        return math.dist(self.objects[a]["location"], self.objects[b]["location"])

    def q_choose(self, q):
        amounts = [self.ask(case["amount"]) for case in q["cases"]]
        goal = (min if q["fewest"] else max)(amounts)
        best = [case["word"] for case, amount in zip(q["cases"], amounts, strict=True) if amount == goal]
        return best[0] if len(best) == 1 else "neither"

    # Edits of words, and removals

    def edit(self, steps):
        """The objects after the steps; None where they are as before."""
        before = list(self.objects)
        self.take(steps)
        return None if self.objects == before else self.objects

    def take(self, steps):
        for step in steps:
            try:
                getattr(self, "e_" + step["op"])(step)
            except Wrong as wrong:
                if str(wrong) != "AlreadySo":
                    raise

    def e_together(self, e):
        outer = self.meant
        if not outer:
            found = {}
            for said in _said(e["steps"]):
                try:
                    is_word = said["op"] in ("word_of", "commonest")
                    found[json.dumps(said)] = self.ask(said) if is_word else [self.names[i] for i in self.some(said)]
                except Wrong:
                    pass
            self.meant = found
        self.take(e["steps"])
        self.meant = outer

    def put(self, i, **words):
        old = self.objects[i]
        new = {**old, **words}
        if new["size"] != old["size"]:
            x, y, z = old["location"]
            new["location"] = [x, y, z - RADIUS[old["size"]] + RADIUS[new["size"]]]
        self.objects[i] = new

    def e_set(self, e):
        found = self.some(e["of"])
        if e["to"]["field"] != e["field"]:
            raise Wrong("ProgramError")
        word = self.meant.get(json.dumps(e["to"])) or self.ask(e["to"])
        others = [i for i in found if self.objects[i][e["field"]] != word]
        if not others:
            raise Wrong("AlreadySo")
        for i in others:
            self.put(i, **{e["field"]: word})

    def e_resize(self, e):
        found = self.some(e["of"])
        if e["factor"] is not None:
            raise Wrong("ProgramError")
        word = "large" if e["larger"] else "small"
        others = [i for i in found if self.objects[i]["size"] != word]
        if not others:
            raise Wrong("AlreadySo")
        for i in others:
            self.put(i, size=word)

    def e_remove(self, e):
        found = self.some(e["of"])
        self.objects = [item for i, item in enumerate(self.objects) if i not in found]
        self.names = [name for i, name in enumerate(self.names) if i not in found]

    def e_replace(self, e):
        found = self.some(e["of"])
        words = {}
        for word in e["words"]:
            if word["field"] in words:
                raise Wrong("ProgramError")
            words[word["field"]] = word["value"]
        if not words:
            raise Wrong("ProgramError")
        others = [i for i in found if any(self.objects[i][field] != word for field, word in words.items())]
        if not others:
            raise Wrong("AlreadySo")
        for i in others:
            self.put(i, **words)

    def e_swap(self, e):
        ends = self.find(e["first"]) if e["first"] == e["second"] else []
        if len(ends) != 2:
            ends = [self.one(e["first"]), self.one(e["second"])]
        if ends[0] == ends[1]:
            raise Wrong("ProgramError")
        if e["field"] == "location":
            raise Borderline
        first, second = (self.objects[i][e["field"]] for i in ends)
        if first == second:
            raise Wrong("AlreadySo")
        self.put(ends[0], **{e["field"]: second})
        self.put(ends[1], **{e["field"]: first})


def _said(steps):
    """The descriptions and words of steps."""
    for step in steps:
        if step["op"] == "together":
            yield from _said(step["steps"])
        yield from (step[key] for key in ("of", "first", "second") if key in step)
        if step["op"] == "set" and step["to"]["op"] != "literally":
            yield step["to"]


def _above(value, threshold, slack=0.004):
    if abs(value - threshold) < slack:
        raise Borderline
    return value > threshold


def _edges(corners):
    return list(zip(corners, corners[1:] + corners[:1], strict=True))


def _to_segment(p, a, b):
    length = (b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2
    t = max(0.0, min(1.0, ((p[0] - a[0]) * (b[0] - a[0]) + (p[1] - a[1]) * (b[1] - a[1])) / length))
    return math.hypot(p[0] - a[0] - t * (b[0] - a[0]), p[1] - a[1] - t * (b[1] - a[1]))


def _polygons(first, second):
    """Of axis-aligned squares, which all of CLEVR's cubes without a rotation are."""
    overlap = []
    for axis in (0, 1):
        low = max(min(p[axis] for p in first), min(p[axis] for p in second))
        high = min(max(p[axis] for p in first), max(p[axis] for p in second))
        overlap.append(low - high)
    if max(overlap) < 0:
        return max(overlap)
    pairs = product(first, _edges(second)), product(second, _edges(first))
    return min(_to_segment(p, *edge) for pair in pairs for p, edge in pair)
