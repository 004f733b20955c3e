"""`LlamaParser`: any Llama of a local folder, such as Llama-3.2's, writes the program, held to the grammar of programs.

It was never trained to. So it is shown some texts with their programs, and goes on in the same way:

    Text: the number of red cubes
    Program: query, count, where, everything, shape, cube, ...

Of each token of a program (`kyvo.programs.tokens`) only the ids that lead to an allowed one may come next, and the
likeliest of them is taken. What comes out is a program of the scene's schema, or nothing where the model finds that
nothing is asked: no text can make it write anything else.
"""

import threading
from collections.abc import Sequence
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from kyvo.errors import ConfigError
from kyvo.files import read_json_object, reading
from kyvo.generation.cache import SequenceCache
from kyvo.generation.engine import additive_mask
from kyvo.generation.hidden_states import hidden_states
from kyvo.models.llama.fold import load_llama, model_files
from kyvo.models.llama.network import Llama
from kyvo.programs.errors import NotUnderstood, ProgramError
from kyvo.programs.grammar.diagnostics import CAN_DO, check_text
from kyvo.programs.grammar.meaning import ALL, narrow, the
from kyvo.programs.parsing import Parsed, Turn, carried_out
from kyvo.programs.program import (
    Along,
    Beside,
    Count,
    Edit,
    Exists,
    Extreme,
    Literally,
    Move,
    Program,
    Query,
    Related,
    Remove,
    Set,
    Swap,
    Where,
    WordOf,
)
from kyvo.programs.tokens import MAX_TOKENS, ProgramGrammar
from kyvo.programs.wording import wording
from kyvo.scene.fields import Field
from kyvo.scene.schema import SceneSchema

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENIZER_NAME = "tokenizer.json"
RECENT = 4  # earlier turns in the prompt
LONGEST = 96  # tokens of a program that is written
NOTHING = "nothing"  # in a program's place: the text asks nothing
BREAK = ","  # ends each token, so that none begins as another one goes on
INSTRUCTIONS = (
    "Each text asks a question about a 3D scene, or for a change of it. Its program says the same. "
    f"A text that asks nothing about the scene has the program: {NOTHING}{BREAK}\n\n"
)
CHATTER = "hello, how are you?"


class LlamaParser:
    """A parser of a Llama's folder, as transformers writes it: config, weights in safetensors, `tokenizer.json`."""

    def __init__(self, model: Llama, tokenizer: "Tokenizer") -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self._lock = threading.Lock()  # one text at a time: the prompt's beginning is kept in one cache
        self._cache = SequenceCache(model.config, max_sequences=1, dtype=model.dtype, device=model.device)
        self._known: list[int] = []  # whose keys and values the cache has

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "LlamaParser":
        """Raises ConfigError for another model or no tokenizer, CheckpointError for damaged weights."""
        from tokenizers import Tokenizer

        folder = Path(folder)
        kind = read_json_object(folder / "config.json").get("model_type")
        if kind != "llama":
            raise ConfigError(f"{folder} holds a model of the type {kind!r}; a parser's folder holds a llama.")
        if not (folder / TOKENIZER_NAME).is_file():
            raise ConfigError(f"{folder} has no {TOKENIZER_NAME}; copy the one that was published with the weights.")
        if not model_files(folder):
            raise ConfigError(f"{folder} has no weights; they are in files called model*.safetensors.")
        try:
            with reading(folder / TOKENIZER_NAME):
                tokenizer = Tokenizer.from_str((folder / TOKENIZER_NAME).read_text(encoding="utf-8"))
        except Exception as error:  # the tokenizers package raises bare exceptions
            raise ConfigError(f"{folder / TOKENIZER_NAME} is no tokenizer ({error}); copy it again.") from error
        model = load_llama(folder)
        if tokenizer.get_vocab_size() > model.config.vocab_size:
            raise ConfigError(
                f"{folder}: the tokenizer has {tokenizer.get_vocab_size():,} ids, the model "
                f"{model.config.vocab_size:,}; they are of two models."
            )
        return cls(model, tokenizer)

    def parse(self, text: str, schema: SceneSchema, dialogue: Sequence[Turn] = ()) -> Parsed:
        """Raises NotUnderstood for a text that asks nothing, or of which the model writes no whole program."""
        check_text(text)
        grammar = _grammar(schema, LONGEST)
        with self._lock, torch.inference_mode():
            tokens, probability = self._write(prompt_of(text, schema, dialogue), grammar)
        if not tokens:
            raise NotUnderstood(f"{text[:80]!r} is not understood. {CAN_DO}")
        try:
            return Parsed(program=grammar.decode(tokens), probability=probability)
        except ProgramError as error:
            raise NotUnderstood(f"the model wrote no program of {text[:80]!r}: {error}") from error

    def _write(self, prompt: str, grammar: ProgramGrammar) -> tuple[list[str], float]:
        """The tokens of a program, none where nothing is asked; and the probability of all choices together."""
        ids = self.tokenizer.encode(prompt).ids
        state, tokens, probability = grammar.start(), [], 1.0
        while not state.is_done:
            choices = {_spelled(token): token for token in grammar.allowed(state)}
            if not tokens:
                choices[NOTHING] = ""
            spelled, sure = self._choose(ids, list(choices))
            probability *= sure
            if not choices[spelled]:
                return [], probability
            tokens.append(choices[spelled])
            state = grammar.step(state, tokens[-1])
        return tokens, probability

    def _choose(self, ids: list[int], choices: Sequence[str]) -> tuple[str, float]:
        """The likeliest of some spelled tokens, id by id, with its probability among them; its ids join `ids`."""
        left = {spelled: self._ids_of(spelled) for spelled in choices}
        probability, place = 1.0, 0
        while len(left) > 1:
            if any(len(own) <= place for own in left.values()):
                raise ConfigError(f"the tokenizer writes {' and '.join(list(left)[:2])} alike; it is no Llama's.")
            following = sorted({own[place] for own in left.values()})
            best = following[0]
            if len(following) > 1:
                logits = self._logits(ids)[following]
                best = following[int(logits.argmax())]
                probability *= float(logits.softmax(0).max())
            left = {spelled: own for spelled, own in left.items() if own[place] == best}
            ids.append(best)
            place += 1
        ((spelled, own),) = left.items()
        ids.extend(own[place:])
        return spelled, probability

    def _ids_of(self, spelled: str) -> list[int]:
        return self.tokenizer.encode(f" {spelled}{BREAK}", add_special_tokens=False).ids

    def _logits(self, ids: list[int]) -> torch.Tensor:
        """Of the next id. What the cache has of the same beginning is not read again."""
        limit = self.model.config.max_position_embeddings
        if len(ids) > limit:
            raise NotUnderstood(f"the text with its examples has {len(ids):,} ids; the model reads {limit:,}.")
        both = takewhile(lambda pair: pair[0] == pair[1], zip(self._known, ids[:-1], strict=False))
        same = sum(1 for _ in both)
        self._known = []  # a forward that fails leaves nothing
        positions = torch.arange(same, len(ids))[None]
        visible = torch.arange(len(ids)) <= positions[..., None]
        self._cache.reserve(1, len(ids))
        self._cache.aim(0, positions, torch.ones_like(positions, dtype=torch.bool))
        device = self.model.device
        states = hidden_states(
            self.model,
            self.model.get_input_embeddings()(torch.tensor([ids[same:]], device=device)),
            mask=additive_mask(visible, self.model.dtype).to(device),
            positions=positions.to(device),
            cache=self._cache,
        )
        self._known = list(ids)
        logits = self.model.lm_head(states[0, -1]).float()
        if not logits.isfinite().all():
            raise ConfigError(f"the weights of {self.model.name_or_path} give no finite numbers; copy them again.")
        return logits


def prompt_of(text: str, schema: SceneSchema, dialogue: Sequence[Turn] = ()) -> str:
    """What the model goes on from: what programs are, examples, the dialogue, and the text."""
    shots = [*_examples(schema), *((turn.text, turn.program) for turn in carried_out(dialogue)[-RECENT:])]
    return INSTRUCTIONS + "".join(f"{_shown(said)}{written(it, schema)}\n\n" for said, it in shots) + _shown(text)


def written(program: Program | None, schema: SceneSchema) -> str:
    """A program as the model writes it; None is that of a text that asks nothing."""
    tokens = [NOTHING] if program is None else map(_spelled, _grammar(schema).encode(program))
    return "".join(f" {token}{BREAK}" for token in tokens)


def _shown(text: str) -> str:
    return f"Text: {' '.join(text.split())}\nProgram:"


def _spelled(token: str) -> str:
    """A token of a program as a word: `[P:count]` is count, `[COLOR]` is color."""
    is_marker = token.startswith("[") and len(token) > 1
    return token[1:-1].removeprefix("P:").lower() if is_marker else token


@lru_cache(maxsize=16)
def _grammar(schema: SceneSchema, max_tokens: int = MAX_TOKENS) -> ProgramGrammar:
    return ProgramGrammar(schema, max_tokens=max_tokens)


@lru_cache(maxsize=16)
def _examples(schema: SceneSchema) -> tuple[tuple[str, Program | None], ...]:
    """Texts with their programs, in words of the schema's first and last field."""
    fields = [field for field in schema.word_fields if len(field.words) > 1]
    programs = _programs(fields[0], fields[-1]) if fields else []
    return (*((wording(program), program) for program in programs), (CHATTER, None))


def _programs(first: Field, last: Field) -> list[Program]:
    """A few of each kind."""
    adjective, other_adjective = (Where(of=ALL, field=first.name, value=word) for word in first.words[:2])
    noun, other_noun = (Where(of=ALL, field=last.name, value=word) for word in last.words[:2])
    literal, behind = Literally(field=first.name, value=first.words[0]), Beside(direction="behind", to=the(other_noun))
    return [
        Query(asks=Count(of=narrow(noun, adjective))),
        Query(asks=Exists(of=Related(of=noun, relation="left", to=the(narrow(other_noun, adjective))))),
        Query(asks=WordOf(of=the(Extreme(of=noun, by=Along(direction="right"))), field=first.name)),
        Edit(steps=(Set(of=the(other_noun), field=first.name, to=literal),)),
        Edit(steps=(Remove(of=other_adjective),)),
        Edit(steps=(Move(of=the(narrow(noun, other_adjective)), place=behind),)),
        Edit(steps=(Remove(of=the(noun)), Swap(first=the(adjective), second=the(other_adjective)))),
    ]
