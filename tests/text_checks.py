"""Checks of texts by the thousand, in a process of their own: pytest checks the types of every call, which is slow.

    python tests/text_checks.py 0 20000     random and broken texts give a program or an error with a name, and soon

Prints what was counted as JSON; exits with 1 at the first that fails.
"""

import json
import random
import string
import sys
import time
from collections import Counter
from functools import cache
from pathlib import Path

from random_programs import CLEVR, random_scene

from kyvo.errors import KyvoError
from kyvo.programs.execute import answer, apply
from kyvo.programs.grammar.parser import GrammarParser, grammar_of
from kyvo.programs.grammar.spelling import english
from kyvo.programs.parsing import Turn
from kyvo.programs.program import Query

PARSER = GrammarParser()
CASES = Path(__file__).parent / "language_cases"
SLOWEST = 1.0  # seconds of this process that one text may take
EVERY_SIGN = string.printable + "äß漢字עبй🙂\u200b\u202e\x00¼²❷"


@cache
def sentences() -> list[str]:
    rows = [json.loads(line) for path in sorted(CASES.glob("*.jsonl")) for line in path.read_text("utf-8").splitlines()]
    return [row["text"] for row in rows]


@cache
def words() -> tuple[list[str], list[str]]:
    """Those of the grammar, and those of English."""
    return sorted(grammar_of(CLEVR)[0].words), sorted(english())


def random_text(draw: random.Random) -> str:
    kind = draw.random()
    if kind < 0.1:
        return "".join(draw.choice(EVERY_SIGN) for _ in range(draw.randrange(1, 200)))
    if kind < 0.4:
        known, english_words = words()
        return " ".join(draw.choice(known if draw.random() < 0.9 else english_words) for _ in range(draw.randrange(40)))
    if kind < 0.5:
        return draw.choice((" and ", ", ", " then ", " of ", " ")).join(
            draw.choices(sentences(), k=draw.randrange(2, 6))
        )
    return broken(draw.choice(sentences()), draw)


def broken(text: str, draw: random.Random) -> str:
    """A sentence with changed words and letters."""
    found = text.split()
    for _ in range(draw.randrange(4)):
        place = draw.randrange(len(found) + 1)
        found[place : place + draw.randrange(2)] = draw.choices(words()[0], k=draw.randrange(3))
    text = " ".join(found)
    for _ in range(draw.randrange(3)):
        place = draw.randrange(len(text) + 1)
        text = text[:place] + draw.choice(EVERY_SIGN) * draw.randrange(3) + text[place + draw.randrange(3) :]
    return text


def check_text(seed: int) -> str:
    """What comes of a text, half of them after another one."""
    draw = random.Random(seed)
    scene, turns, found = random_scene(seed % 20), [], ""
    for text in [draw.choice(sentences()), random_text(draw)][draw.randrange(2) :]:
        start = time.process_time()
        try:
            program = PARSER.parse(text, CLEVR, turns).program
            done = (
                answer(program, scene, CLEVR, turns)
                if isinstance(program, Query)
                else apply(program, scene, CLEVR, turns)
            )
            found = type(done).__name__
            turns.append(Turn(text=text, program=program, mentioned=(0,), before=scene, after=scene))
        except KyvoError as error:
            assert str(error), repr(text)
            found = type(error).__name__
        took = time.process_time() - start
        assert took < SLOWEST, f"{took:.2f} s of {text!r}"
    return found


if __name__ == "__main__":
    first, end = map(int, sys.argv[1:])
    PARSER.parse("how many cubes are there", CLEVR)  # makes the grammar
    print(json.dumps(Counter(map(check_text, range(first, end)))))
