"""`load_parser`: who turns texts into programs, by the name that commands and servers take."""

from kyvo.errors import ConfigError
from kyvo.programs.parsing import Parser

NAMES = "grammar"


def load_parser(name: str) -> Parser:
    """`grammar`: the grammar of English that ships with the package. Raises ConfigError for what is no parser."""
    if name == "grammar":
        from kyvo.programs.grammar import GrammarParser

        return GrammarParser()
    raise ConfigError(f"no parser is called {name!r}; known are {NAMES}.")
