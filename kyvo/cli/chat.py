"""`kyvo chat`: a scene, changed and asked about in a terminal or through a pipe."""

import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kyvo.cli.model import Parser, Renderer
from kyvo.errors import KyvoError

if TYPE_CHECKING:
    from kyvo.api import Kyvo
    from kyvo.cli.console import PlainConsole
    from kyvo.conversation import Conversation, Turn

HELP = """Say what to change, or ask. Commands, also without the slash where the word or a file's name is all:
  /undo         take back the last change      /redo         bring it back
  /diff         what all turns changed         /scene        list the objects
  /why          how the last text was understood, and the objects it rests on
  /save FILE    the whole conversation         /export FILE  .json, .glb, .html, .png, ... by the ending
                (--force after FILE replaces a file that exists)
  /ask TEXT, /edit TEXT   a text that has to be a question, an instruction
  /help         this                           /quit         leave (or Ctrl-D)
Ctrl-C stops what is running and keeps the talk."""
BARE = {"undo", "redo", "diff", "scene", "why", "help", "quit", "exit"}  # commands that need no slash
BARE_WRITING = re.compile(r"(save|export) \S+\.\w+( --force)?", re.IGNORECASE)
PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"}


def chat(
    file: Annotated[
        Path, typer.Argument(metavar="SCENE", help="A scene file, a picture, or a conversation that was saved.")
    ],
    image: Annotated[Path | None, typer.Option(help="The scene's picture; else one is rendered.")] = None,
    model: Annotated[str, typer.Option(help="A bundled model's name, or a model folder.")] = "mini",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    parser: Parser = "auto",
    renderer: Renderer = "model",
    out: Annotated[
        Path | None, typer.Option(help="Folder for the scene and picture of each turn: turn_001.json, turn_001.png.")
    ] = None,
) -> None:
    """Change a scene in words and ask about it, line by line; each change is shown as a difference.

    Lines may come through a pipe; then exit code 1 says that a line failed, and stderr which.

    Example: kyvo chat scene.json --image picture.png --out turns
    """
    from kyvo.cli.console import PlainConsole
    from kyvo.scene.source import source_of

    console, errors = PlainConsole(), PlainConsole(stderr=True)
    check = _checked(file, image)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    with errors.status("loading the model ..."):
        talk = _open(file, image, _load(model, device, parser, renderer), check)
    source = source_of(talk.scene)
    for line in (*(f"warning: {one}" for one in source.warnings), *(f"note: {one}" for one in source.notes)):
        errors.print(line, style="yellow", soft_wrap=True)
    if sys.stdin.isatty():
        import readline  # noqa: F401  # gives `input` line editing and history

        console.print(f"{_begun(len(talk.scene))}; help lists the commands.", style="dim")
    failed = False
    with talk.model.language_model.engine.running():
        for line in _lines(console):
            if line.lower() in BARE:
                line = f"/{line.lower()}"
            elif BARE_WRITING.fullmatch(line):
                line = f"/{line[0].lower()}{line[1:]}"
            if line in ("/quit", "/exit"):
                break
            try:
                _take(line, talk, console, errors, out)
            except KyvoError as error:
                failed = True
                errors.print(f"{error}", style="red", soft_wrap=True)
    _offer_to_save(talk, console)
    if failed and not sys.stdin.isatty():
        raise typer.Exit(1)


def _load(model: str, device: str, parser: str, renderer: str) -> "Kyvo":
    from kyvo.cli.model import load_model

    return load_model(model, device, parser, renderer=renderer)


def _checked(file: Path, image: Path | None) -> str:
    """What the file is: "picture", "conversation" or "scene". What does not fit is said before the model is loaded."""
    from kyvo.cli.scene import read_one
    from kyvo.conversation import is_conversation
    from kyvo.errors import ConfigError
    from kyvo.scene.files import read_json
    from kyvo.tokenizers.pictures import read_picture

    if file.suffix.lower() in PICTURES:
        read_picture(file)
        if image is not None:
            raise ConfigError(f"{file} is a picture, which is recognised; leave out --image.")
        return "picture"
    if is_conversation(read_json(file)):
        if image is not None:
            raise ConfigError(f"{file} is a saved conversation, which has its picture; leave out --image.")
        return "conversation"
    read_one(file)
    return "scene"


def _open(file: Path, image: Path | None, model: "Kyvo", kind: str) -> "Conversation":
    from kyvo.cli.scene import read_one
    from kyvo.conversation import Conversation
    from kyvo.tokenizers.pictures import read_picture

    if kind == "conversation":
        return Conversation.load(model, file)
    if kind == "picture":
        picture = read_picture(file)
        return Conversation(model, model.recognize([picture])[0], image=picture)
    return Conversation(model, read_one(file), image=image)


def _begun(objects: int) -> str:
    if not objects:
        return "There is no object in the scene. Say what to add"
    return f"{objects} object{'' if objects == 1 else 's'}. Say what to change, or ask"


def _lines(console: "PlainConsole") -> Iterator[str]:
    """What is typed or piped, without blank lines, to the end of the input."""
    while True:
        try:
            line = console.input("> ") if sys.stdin.isatty() else sys.stdin.readline()
        except EOFError:
            return
        except KeyboardInterrupt:
            console.print("\nnothing is running; quit or Ctrl-D leaves", style="dim")
            continue
        if not line and not sys.stdin.isatty():
            return
        if line.strip():
            yield line.strip()


def _take(line: str, talk: "Conversation", console: "PlainConsole", errors: "PlainConsole", out: Path | None) -> None:
    """One line: a command, or a turn. Raises KyvoError for what fails; the conversation stays as it was."""
    from kyvo.conversation import describe_diff, name_object
    from kyvo.errors import ConfigError
    from kyvo.scene.diff import diff

    def tell(text: str) -> None:
        console.print(text, soft_wrap=True)

    word, _, rest = line.partition(" ")
    rest = rest.strip()
    if not word.startswith("/") or word in ("/ask", "/edit"):
        turn = _say(word, rest if word.startswith("/") else line, talk, errors)
        if turn is not None:
            tell(turn.describe())
            if out is not None and turn.answer is None:
                tell(f"picture: {_save_turn(talk, out)}")
    elif word in ("/undo", "/redo"):
        turn = talk.undo() if word == "/undo" else talk.redo()
        done = "taken back" if word == "/undo" else "brought back"
        tell(
            f"nothing to {word[1:]}"
            if turn is None
            else f"{done}: {turn.text if turn.understood is None else turn.understood.text}"
        )
    elif word == "/diff":
        first = talk.turns[0].before if talk.turns else talk.scene
        tell("\n".join(describe_diff(diff(first, talk.scene), first, talk.scene)) or "no difference")
    elif word == "/scene":
        for item in talk.scene.objects:
            tell(name_object(item) + (f" at {' '.join(f'{x:.3g}' for x in item.location)}" if item.location else ""))
    elif word == "/why":
        tell(_why(talk))
    elif word in ("/save", "/export"):
        name = rest.removesuffix("--force").strip()
        if not name:
            raise ConfigError(f"{word} needs a file name.")
        if Path(name).exists() and name == rest:
            raise ConfigError(f"{name} exists; {word} {name} --force replaces it.")
        (talk.save if word == "/save" else talk.export)(Path(name))
        tell(f"written: {name}")
    elif word == "/help":
        tell(HELP)
    else:
        raise ConfigError(f"{word} is no command; /help lists them.")


def _say(word: str, text: str, talk: "Conversation", errors: "PlainConsole") -> "Turn | None":
    """A turn, in a thread of its own, so that Ctrl-C can end it and keep the talk; None where it did."""
    from kyvo.pipelines.run import Cancelled

    say = {"/ask": talk.ask, "/edit": talk.edit}.get(word, talk.say)
    run = talk.model.run()
    with ThreadPoolExecutor(1) as pool, errors.status("working ... (Ctrl-C stops it)"):
        future = pool.submit(say, text, run=run)
        try:
            return future.result()
        except KeyboardInterrupt:
            run.cancel()
            try:
                return future.result()  # it was done just then
            except Cancelled:
                errors.print("stopped; the scene is as it was", style="dim")
                return None


def _save_turn(talk: "Conversation", out: Path) -> Path:
    """Writes the scene and picture of a change under the next free number; returns the picture's path."""
    from kyvo.scene.files import save_scene

    number = 1 + max((int(path.stem[5:]) for path in out.glob("turn_*.json") if path.stem[5:].isdecimal()), default=0)
    save_scene(talk.scene, out / f"turn_{number:03}.json")
    picture = out / f"turn_{number:03}.png"
    talk.export(picture)
    return picture


def _why(talk: "Conversation") -> str:
    """How the last text was understood, and the objects that its result rests on."""
    from kyvo.conversation import name_object

    turn = talk.turns[-1] if talk.turns else None
    if turn is None or turn.understood is None:
        return "nothing was said yet"
    lines = [turn.understood.reading, *(f"or: {other}" for other in turn.understood.alternatives)]
    return "\n".join([*lines, *(f"about: {name_object(turn.before.objects[index])}" for index in turn.objects)])


def _offer_to_save(talk: "Conversation", console: "PlainConsole") -> None:
    """On a terminal, where something was changed: a file name saves the conversation, Enter does not."""
    if not (sys.stdin.isatty() and any(turn.answer is None for turn in talk.turns)):
        return
    try:
        name = console.input("save the conversation to (a file name, or Enter for no): ").strip()
    except (EOFError, KeyboardInterrupt):
        return
    if name:
        talk.save(name)
        console.print(f"written: {name}")
