"""`load_parser`: who turns texts into programs, by the name that the commands take. `load_writer`: who needs none."""

from pathlib import Path
from typing import TYPE_CHECKING

from kyvo.errors import ConfigError
from kyvo.programs.parsing import Parser

if TYPE_CHECKING:
    from kyvo.data.language.cases import Case
    from kyvo.evaluation.language import Writer
    from kyvo.scene.scene import Scene


def load_parser(name: str) -> Parser | None:
    """`auto`, the model folder's own (None); `grammar`, the grammar of English that ships with the package;
    `mini_programs`, the bundled language model that writes programs, or the folder of another; the folder of any Llama;
    or `ADDRESS#MODEL`, a chat model.

    Raises ConfigError for what is none of them, CheckpointError for damaged weights.
    """
    if name == "auto":
        return None
    if name == "grammar":
        from kyvo.programs.grammar.parser import GrammarParser

        return GrammarParser()
    if name.startswith(("http://", "https://")):
        from kyvo.parsers.chat_model import ChatModelParser

        address, _, model = name.partition("#")
        return ChatModelParser(address, model=model)
    from kyvo.api import Kyvo, bundled_models, find_model

    folder = Path(name)
    if (folder / "vocabulary.json").is_file() or name in bundled_models():
        from kyvo.parsers.language_model import LanguageModelParser, read_min_probability

        model = Kyvo.from_pretrained(name).language_model
        return LanguageModelParser(model, min_probability=read_min_probability(find_model(name)))
    if (folder / "config.json").is_file():
        from kyvo.parsers.llama import LlamaParser

        return LlamaParser.from_pretrained(folder)
    if folder.is_dir():
        raise ConfigError(f"{folder} has no config.json; a parser's folder is a model of Kyvo, or a Llama.")
    raise ConfigError(
        f"no parser is called {name!r}; give auto, grammar, mini_programs, a model folder, or a chat model as "
        "http://HOST:PORT/v1#NAME."
    )


def load_writer(name: str) -> "Writer":
    """A model folder, or a bundled model by its name, that writes the answer or the scene of a case itself."""
    from kyvo.api import Kyvo
    from kyvo.pipelines.editing import Mode

    model = Kyvo.from_pretrained(name)

    def write(case: "Case") -> "str | Scene":
        if case.scene_after is None:
            return model.ask(case.scene, case.text, mode=Mode.LANGUAGE_MODEL).text
        return model.edit(case.scene, case.text, render=False, mode=Mode.LANGUAGE_MODEL).scene

    return write
