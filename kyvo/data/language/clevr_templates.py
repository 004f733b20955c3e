"""CLEVR's own question templates, read from a folder of theirs: `question_generation/CLEVR_1.0_templates`.

The files are not part of Kyvo; they come with https://github.com/facebookresearch/clevr-dataset-gen. The spellings
in `synonyms.json` beside the folder are used where it is there.
"""

import json
import re
from pathlib import Path
from typing import Any

from kyvo.data.language.question_phrases import FAMILIES, NO_SHAPE, Template, TemplateSet, TemplateStep
from kyvo.data.language.question_programs import FUNCTIONS, WORDS, check, step
from kyvo.errors import ConfigError, SceneError

_FILTERS = {f"filter{then}" for then in ("", "_unique", "_count", "_exist")}
_KNOWN = {*FUNCTIONS, *_FILTERS, *(f"relate_{name}" for name in _FILTERS)}


def read_clevr_templates(folder: Path) -> TemplateSet:
    """The templates of all `*.json` in the folder, each file a family that is called after it.

    Raises ConfigError with the file and the template for what is missing or not understood.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        known = ", ".join(f"{name}.json" for name in FAMILIES)
        raise ConfigError(f"{folder} holds no *.json; point at CLEVR's folder CLEVR_1.0_templates, which has {known}.")
    templates = [
        _template(row, path.stem, f"{path}[{index}]") for path in paths for index, row in enumerate(_read(path, list))
    ]
    synonyms = folder.parent / "synonyms.json"
    words = {word: tuple(spellings) for word, spellings in _read(synonyms, dict).items()} if synonyms.is_file() else {}
    return TemplateSet(templates=tuple(templates), words={NO_SHAPE: (NO_SHAPE,), **words})


def _read(path: Path, kind: type) -> Any:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not JSON ({error}); give CLEVR's files as they are.") from error
    if not isinstance(data, kind):
        raise ConfigError(f"{path} holds a {type(data).__name__}; CLEVR's has a {kind.__name__} there.")
    return data


def _template(row: Any, family: str, where: str) -> Template:
    try:
        slots = {param["name"]: param["type"].lower() for param in row["params"]}
        steps = tuple(
            TemplateStep(function=node["type"], inputs=tuple(node["inputs"]), slots=tuple(node.get("side_inputs", ())))
            for node in row["nodes"]
        )
        constraints = [(rule["type"], rule["params"]) for rule in row["constraints"]]
        texts = tuple(row["text"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{where} is no template ({type(error).__name__}: {error}); it needs text, nodes, params and constraints."
        ) from error
    for slot, attribute in slots.items():
        if attribute not in WORDS:
            raise ConfigError(f"{where}: {slot} is of type {attribute!r}; known are {', '.join(WORDS)}.")
    for place, node in enumerate(steps):
        if node.function not in _KNOWN:
            raise ConfigError(f"{where}.nodes[{place}] is {node.function!r}; known are {', '.join(sorted(_KNOWN))}.")
        if any(not 0 <= i < place for i in node.inputs):
            raise ConfigError(f"{where}.nodes[{place}].inputs is {list(node.inputs)}; they must be earlier nodes.")
    named = {slot for text in texts for slot in re.findall(r"<\w+>", text)} | {s for node in steps for s in node.slots}
    if unknown := sorted(named - slots.keys()):
        raise ConfigError(f"{where}: {', '.join(unknown)} is used but not among its params; add it there.")
    for kind, _ in constraints:
        if kind not in ("NULL", "OUT_NEQ"):
            raise ConfigError(f"{where}: a constraint is {kind!r}; known are NULL and OUT_NEQ.")
    template = Template(
        family=family,
        texts=texts,
        steps=steps,
        slots=slots,
        empty=frozenset(slot for kind, params in constraints if kind == "NULL" for slot in params),
        different=tuple(tuple(params) for kind, params in constraints if kind == "OUT_NEQ"),
    )
    try:
        check(_bare_program(template))
    except SceneError as error:
        raise ConfigError(f"{where}: with all filters left out, {error}") from error
    return template


def _bare_program(template: Template) -> list[dict[str, Any]]:
    """The template as a program without its filters: do its steps fit one another?"""
    program: list[dict[str, Any]] = []
    ends: list[int] = []
    for row in template.steps:
        inputs = [ends[i] for i in row.inputs]
        if row.function in FUNCTIONS:
            program.append(step(row.function, inputs, *(WORDS[template.slots[slot]][0] for slot in row.slots)))
        else:
            if row.function.startswith("relate_"):
                program.append(step("relate", inputs, WORDS["relation"][0]))
                inputs = [len(program) - 1]
            then = row.function.rsplit("_", 1)[-1]
            if then != "filter":
                program.append(step(then, inputs))
            elif not row.function.startswith("relate_"):
                program.append(step("union", [*inputs, *inputs]))  # a set, as the filters would leave
        ends.append(len(program) - 1)
    return program
