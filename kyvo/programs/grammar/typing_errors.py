"""Typing errors: how many lie between two words, and how unlikely they are.

A letter is left out, or exchanged with the next, in one way. It is changed into one of many others, mostly into a
neighbor on the keyboard. So of two words that are one error away, one may be much likelier (a noisy channel).
"""

_KEYS = {  # where each key lies
    key: (line, place + shift)
    for line, (keys, shift) in enumerate((("qwertyuiop", 0.0), ("asdfghjkl", 0.25), ("zxcvbnm", 0.75)))
    for place, key in enumerate(keys)
}
_EXCHANGED = 0.7  # weight of two letters in the other order, and of a letter typed twice
_MISSING = 0.8  # of a letter left out
_NEIGHBOR = 1.0  # of a letter whose key is beside the right one
_OTHER = 1.5  # of any other letter


def _are_neighbors(key: str, other: str) -> bool:
    return abs(_KEYS[key][0] - _KEYS[other][0]) <= 1 and abs(_KEYS[key][1] - _KEYS[other][1]) <= 1


_NEIGHBORS = {key: {"", *(other for other in _KEYS if _are_neighbors(key, other))} for key in _KEYS}  # "": the start


def num_errors(first: str, second: str, most: int) -> int:
    """How many letters to change, add, leave out or exchange with the next; `most` + 1 where it is more."""
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, letter in enumerate(first, start=1):
        older, before, row = before, row, [i]
        for j, other in enumerate(second, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == second[j - 2] and first[i - 2] == other:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return row[-1]


def weight(typed: str, word: str) -> float:
    """How unlikely it is that `word` is typed so: 0 where it is right, about 1 for each error."""
    before: list[float] = []
    row = [_MISSING * j for j in range(len(word) + 1)]
    for i, letter in enumerate(typed, start=1):
        last = typed[i - 2] if i > 1 else ""
        extra = _EXCHANGED if letter == last else _NEIGHBOR if last in _NEIGHBORS.get(letter, ()) else _OTHER
        older, before, row = before, row, [row[0] + extra]
        for j, other in enumerate(word, start=1):
            changed = 0.0 if letter == other else _NEIGHBOR if other in _NEIGHBORS.get(letter, ()) else _OTHER
            cost = min(before[j] + extra, row[j - 1] + _MISSING, before[j - 1] + changed)
            if j > 1 and letter == word[j - 2] and last == other:
                cost = min(cost, older[j - 2] + _EXCHANGED)
            row.append(cost)
    return row[-1]
