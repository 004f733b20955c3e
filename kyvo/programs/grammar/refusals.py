"""x"""

from kyvo.programs.errors import NotUnderstood


def check_text(text):
    pass


def refusal(text, tokens, spelling):
    return NotUnderstood("no: " + " ".join(t if t in spelling.grammar.words else t.upper() for t in tokens))
