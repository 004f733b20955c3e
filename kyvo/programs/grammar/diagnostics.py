"""Diagnostics of texts that are not understood: empty or too long, another language, an unknown word, no question."""

import re
import unicodedata
from collections.abc import Mapping, Sequence

from kyvo.programs.errors import NotUnderstood, ProgramError, UnknownWord
from kyvo.programs.grammar.spelling import Spelling, english

MAX_CHARACTERS = 1000
CAN_DO = (
    'Ask about the scene, like "how many red cubes are there?", '
    'or change it, like "move the red cube to the left of the sphere".'
)
_ADVICE = {
    ("group", "gather", "cluster", "bunch", "together", "each other", "one another"): (
        'Objects are brought together where it is said which they are, or how many: "group the three cubes together".'
    ),
    ("what if", "suppose", "imagine", "if the", "if it", "if i", "if we", "if you", "would be"): (
        'What would be is answered of objects that are left out: "how many cubes would there be without the red one?". '
        'Make other changes, ask, and say "undo".'
    ),
}
_FORMATION = re.compile(
    r" in an? (?:\w+ )?"
    r"(circle|ring|square|triangle|rectangle|cross|grid|pyramid|semicircle|oval|arc|curve|star|spiral)"
    r" (?:$|[.,]|and |then |around |please )"
)
_SCRIPTS = (  # the beginning of a letter's Unicode name, and the language it is mostly of
    ("HIRAGANA", "Japanese"), ("KATAKANA", "Japanese"), ("HANGUL", "Korean"), ("CJK", "Chinese"),
    ("CYRILLIC", "Russian"), ("ARABIC", "Arabic"), ("HEBREW", "Hebrew"), ("GREEK", "Greek"),
    ("DEVANAGARI", "Hindi"), ("THAI", "Thai"),
)  # fmt: skip
_UKRAINIAN = set("\u0456\u0457\u0454\u0491")
_WORDS: Mapping[str, str] = {
    "German": (
        "der die das den dem des ein eine einen einem einer und oder ist sind wie viele welche welcher "
        "welches was wo nicht links rechts von neben auf unter hinter vor zwischen mach mache entferne bewege "
        "gibt es bitte kugel würfel rote roten rot blau blaue blauen grün grüne gelbe gelben wieviele "
        "zylinder farbe hat stelle"
    ),
    "French": (
        "le la les un une des du de et ou est sont combien quel quelle quels quelles que qui où il y a pas "
        "gauche droite sur sous derrière devant entre déplace déplacez supprime supprimez mets ajoute rouge "
        "bleu bleue vert verte jaune sphère objets couleur cylindre petite grande dans"
    ),
    "Spanish": (
        "el la los las un una unos unas y o es son cuántos cuántas cuantos cuantas qué que cuál cual dónde "
        "hay no izquierda derecha de del detrás delante entre sobre bajo mueve elimina quita añade pon rojo "
        "roja azul verde amarillo esfera cubo objetos cilindro color rojos rojas azules"
    ),
    "Italian": (
        "il lo la gli le un uno una e o è sono quanti quante quale quali che dove c'è ci non sinistra destra "
        "di del della dietro davanti tra sopra sotto sposta rimuovi elimina aggiungi metti rosso rossa blu "
        "verde giallo sfera cubo oggetti"
    ),
    "Portuguese": (
        "o os as um uma uns umas e ou é são quantos quantas qual quais que onde há não esquerda direita do da "
        "dos das atrás frente entre sobre sob mova remova retire adicione coloque vermelho vermelha azul "
        "verde amarelo esfera cubo objetos"
    ),
    "Dutch": (
        "de het een en of is zijn hoeveel welke welk wat waar er niet links rechts van naast op onder achter "
        "voor tussen verplaats verwijder maak zet rode rood blauw blauwe groene gele bol kubus objecten kleur "
        "heeft"
    ),
    "Polish": ("ile jest czy co który która gdzie usuń przesuń czerwony niebieski zielony i na pod za przed obok kula"),
    "Turkish": ("kaç tane bir ve var mı ne hangi nerede kırmızı mavi yeşil kaldır sil küp küre sol sağ"),
}
_FUNCTION_WORDS = {language: frozenset(words.split()) for language, words in _WORDS.items()}


def check_text(text: str) -> None:
    """Raises NotUnderstood for a text that holds nothing to read, that is too long, or in another script."""
    letters = [sign for sign in text if sign.isalpha()]
    if not letters:
        said = "the text is empty" if not text.strip() else f"{_short(text)} holds no words"
        raise NotUnderstood(f"{said}. {CAN_DO}")
    if len(text) > MAX_CHARACTERS:
        raise NotUnderstood(
            f"the text has {len(text)} characters; at most {MAX_CHARACTERS} are read. "
            "Ask one thing, or give a few steps, at a time."
        )
    names = [unicodedata.name(letter, "") for letter in letters]
    if sum(not name.startswith("LATIN") for name in names) * 2 > len(letters):
        for script, language in _SCRIPTS:
            if any(name.startswith(script) for name in names):
                if language == "Russian" and _UKRAINIAN & set(text.lower()):
                    language = "Ukrainian"
                raise _foreign(language)
        raise NotUnderstood(f"{_short(text)} is in a script that is not read; only English is understood. {CAN_DO}")


def check_language(tokens: Sequence[str], spelling: Spelling) -> None:
    """Raises NotUnderstood for a text of another language in Latin letters."""
    foreign = [token for token in tokens if token.isalpha() and not spelling.knows(token)]
    for language, words in _FUNCTION_WORDS.items():
        matches = sum(token in words for token in tokens)
        own = sum(token in words for token in foreign)
        others = (sum(token in more for token in tokens) for more in _FUNCTION_WORDS.values())
        if own and matches >= 2 and matches == max(others) and (own >= 2 or len(foreign) * 2 >= len(tokens)):
            raise _foreign(language)


def check_formations(tokens: Sequence[str]) -> None:
    """Raises NotUnderstood for objects that are to stand in a circle or the like; a circle is a sphere elsewhere."""
    said = f" {' '.join(tokens)} "
    if found := _FORMATION.search(said):
        raise NotUnderstood(
            f"nothing is put in a {found[1]}. Objects are lined up in a row, one behind the other, or on top of "
            'one another: "line up the cubes".'
        )


def advice(tokens: Sequence[str]) -> str | None:
    """What would be understood in the place of something that people ask for, and that no program says."""
    said = f" {' '.join(tokens)} "
    return next((hint for words, hint in _ADVICE.items() if any(f" {word} " in said for word in words)), None)


def diagnosis(text: str, tokens: Sequence[str], spelling: Spelling, *, readable: bool) -> ProgramError:
    """Why no program was found. `readable` says that the text would be one with its unknown words known."""
    unknown = [token for token in tokens if not spelling.reads(token) and token.isalpha()]
    scene = [token for token in tokens if token in spelling.grammar.scene_words]
    if unknown and (readable or scene):
        word = next((token for token in unknown if token not in english()), unknown[0])
        near = spelling.near(word)
        hint = f"; did you mean {' or '.join(repr(one) for one in near)}?" if near else "."
        return UnknownWord(
            f"{word!r} in {_short(text)} is not a word of these scenes{hint} {CAN_DO}", word=word, near=near
        )
    hint = advice(tokens) or CAN_DO
    return NotUnderstood(f"{_short(text)} is no question about a scene and no change of it that is understood. {hint}")


def _foreign(language: str) -> NotUnderstood:
    return NotUnderstood(f"the text seems to be {language}; only English is understood. {CAN_DO}")


def _short(text: str) -> str:
    text = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
