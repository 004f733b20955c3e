"""`kyvo chat`: a scene, changed and asked about in a terminal or through a pipe."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kyvo.errors import KyvoError

if TYPE_CHECKING:
    from rich.console import Console

    from kyvo.conversation import Conversation

HELP = """Say what to change, or ask. Commands, with or without the slash where the word stands alone:
  /undo         take back the last change      /redo         bring it back
  /diff         what all turns changed         /scene        list the objects
  /why          how the last text was understood, and the objects it rests on
  /save FILE    the whole conversation         /export FILE  .glb, .html, .png, ... by the ending
  /ask TEXT, /edit TEXT   a text that has to be a question, an instruction
  /help         this                           /quit         leave (or Ctrl-D)"""
BARE = {"undo", "redo", "diff", "scene", "why", "help", "quit", "exit"}  # commands that need no slash when alone


def chat(
    file: Annotated[Path, typer.Argument(metavar="SCENE", help="A scene file, or a conversation that was saved.")],
    image: Annotated[Path | None, typer.Option(help="The scene's picture; else the model renders one.")] = None,
    model: Annotated[str, typer.Option(help="A bundled model's name, or a model folder.")] = "mini",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    out: Annotated[
        Path | None, typer.Option(help="Folder for the scene and picture of each turn: turn_001.json, turn_001.png.")
    ] = None,
) -> None:
    """Change a scene in words and ask about it, line by line; each change is told as a difference.

    Lines may come through a pipe; then exit code 1 says that a line failed, and stderr which.

    Example: kyvo chat scene.json --image picture.png --out turns
    """
    from rich.console import Console

    from kyvo.cli.model import load_model
    from kyvo.cli.scene import read_one
    from kyvo.conversation import Conversation, is_conversation
    from kyvo.errors import ConfigError
    from kyvo.scene.files import read_json

    saved = is_conversation(read_json(file))
    if saved and image is not None:
        raise ConfigError(f"{file} is a saved conversation, which has its picture; leave out --image.")
    scene = None if saved else read_one(file)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    loaded = load_model(model, device)
    talk = Conversation.load(loaded, file) if scene is None else Conversation(loaded, scene, image=image)
    console, errors = Console(highlight=False), Console(stderr=True, highlight=False)
    if sys.stdin.isatty():
        console.print(f"{len(talk.scene)} objects. /help lists the commands.", style="dim")
    failed = False
    for line in _lines(console):
        if line.lower() in BARE:
            line = f"/{line.lower()}"
        if line in ("/quit", "/exit"):
            break
        try:
            _take(line, talk, console, out)
        except KyvoError as error:
            failed = True
            errors.print(f"{error}", style="red", markup=False, soft_wrap=True)
    if failed and not sys.stdin.isatty():
        raise typer.Exit(1)


def _lines(console: "Console") -> Iterator[str]:
    """What is typed or piped, without blank lines, to the end of the input."""
    while True:
        try:
            line = console.input("[bold]> [/bold]") if sys.stdin.isatty() else sys.stdin.readline()
        except EOFError:
            return
        if not line and not sys.stdin.isatty():
            return
        if line.strip():
            yield line.strip()


def _take(line: str, talk: "Conversation", console: "Console", out: Path | None) -> None:
    """One line: a command, or a turn. Raises KyvoError for what fails; the conversation stays as it was."""
    from kyvo.conversation import describe_diff, name_object
    from kyvo.errors import ConfigError
    from kyvo.scene.diff import diff
    from kyvo.scene.files import save_scene

    def tell(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    word, _, rest = line.partition(" ")
    rest = rest.strip()
    if not word.startswith("/") or word in ("/ask", "/edit"):
        say = {"/ask": talk.ask, "/edit": talk.edit}.get(word, talk.say)
        turn = say(rest if word.startswith("/") else line)
        tell(turn.describe())
        if out is not None and turn.answer is None:
            number = sum(one.answer is None for one in talk.turns)
            save_scene(talk.scene, out / f"turn_{number:03}.json")
            talk.export(out / f"turn_{number:03}.png")
            tell(f"picture: {out / f'turn_{number:03}.png'}")
    elif word in ("/undo", "/redo"):
        turn = talk.undo() if word == "/undo" else talk.redo()
        done = "taken back" if word == "/undo" else "brought back"
        tell(f"nothing to {word[1:]}" if turn is None else f"{done}: {turn.text}")
    elif word == "/diff":
        first = talk.turns[0].before if talk.turns else talk.scene
        tell("\n".join(describe_diff(diff(first, talk.scene), first, talk.scene)) or "no difference")
    elif word == "/scene":
        for item in talk.scene.objects:
            tell(name_object(item) + (f" at {' '.join(f'{x:.3g}' for x in item.location)}" if item.location else ""))
    elif word == "/why":
        tell(why(talk))
    elif word in ("/save", "/export"):
        if not rest:
            raise ConfigError(f"{word} needs a file name.")
        (talk.save if word == "/save" else talk.export)(Path(rest))
        tell(f"written: {rest}")
    elif word == "/help":
        tell(HELP)
    else:
        raise ConfigError(f"{word} is no command; /help lists them.")


def why(talk: "Conversation") -> str:
    """How the last text was understood, and the objects that its result rests on."""
    from kyvo.conversation import name_object

    turn = talk.turns[-1] if talk.turns else None
    if turn is None or turn.understood is None:
        return "nothing was said yet"
    lines = [turn.understood.reading, *(f"or: {other}" for other in turn.understood.alternatives)]
    return "\n".join([*lines, *(f"about: {name_object(turn.before.objects[index])}" for index in turn.objects)])
