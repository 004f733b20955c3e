"""`load_parser`: who turns texts into programs, by the name that commands and servers take."""

from kyvo.errors import ConfigError
from kyvo.programs.parsing import Parser


def load_parser(name: str) -> Parser:
    """`constraint`, the grammar of English that ships with the package; or `ADDRESS#MODEL`, a chat model.

    Raises ConfigError for what is neither.
    """
    if name == "grammar":
        from kyvo.programs.grammar.parser import GrammarParser

        return GrammarParser()
    if name.startswith(("http://", "https://")):
        from kyvo.parsers.chat_model import ChatModelParser

        address, _, model = name.partition("#")
        return ChatModelParser(address, model=model)
    raise ConfigError(f"no parser is called {name!r}; give grammar, or a chat model as http://HOST:PORT/v1#NAME.")
