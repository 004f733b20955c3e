"""Text <-> ids: the Llama-3.2 tokenizer when the user has its file, or a SentencePiece model trained here.

Both come back exactly: ``decode(encode(text)) == text``. Neither adds begin or end ids; sequences do that.
"""

import base64
import binascii
from pathlib import Path
from typing import Protocol, runtime_checkable

import sentencepiece

from kyvo.errors import CheckpointError
from kyvo.extras import extra
from kyvo.files import copy_file, reading
from kyvo.tokenizers.vocabulary import LLAMA3_TEXT


@runtime_checkable
class TextTokenizer(Protocol):
    """What the rest of Kyvo asks of a text tokenizer."""

    size: int  # ids are 0 .. size - 1
    plain: range  # ids that stand for text; the others are control ids
    bos_id: int
    eos_id: int
    pad_id: int

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: list[int]) -> str: ...

    def save(self, folder: Path) -> None: ...


class LlamaText:
    """The Llama-3 tokenizer from Meta's `tokenizer.model`, lines of base64 token and rank.

    128,000 merges and 256 special ids. Read with tiktoken, so that running a model needs no torchtune; the tests
    hold it against torchtune's tokenizer.
    """

    size = LLAMA3_TEXT
    plain = range(128_000)
    bos_id = 128_000  # <|begin_of_text|>
    eos_id = 128_001  # <|end_of_text|>
    pad_id = 128_004  # <|finetune_right_pad_id|>

    # How Llama 3 splits text before merging (a fact of the published tokenizer).
    _SPLIT = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    )

    def __init__(self, path: str | Path) -> None:
        with extra("llama"):
            import tiktoken

        self.path = Path(path)
        try:
            lines = self.path.read_text().splitlines()
            ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines if line)}
        except (OSError, ValueError, binascii.Error) as error:
            raise CheckpointError(f"{path}: not a Llama-3 tokenizer.model of base64 lines ({error}).") from error
        if len(ranks) != len(self.plain):
            raise CheckpointError(
                f"{path}: {len(ranks):,} merges, but Llama-3's tokenizer.model has {len(self.plain):,}. "
                "Take the file that comes with the Llama-3.2 weights."
            )
        self._encoding = tiktoken.Encoding(name="llama3", pat_str=self._SPLIT, mergeable_ranks=ranks, special_tokens={})

    def encode(self, text: str) -> list[int]:
        return self._encoding.encode_ordinary(text)

    def decode(self, ids: list[int]) -> str:
        return self._encoding.decode(ids)

    def save(self, folder: Path) -> None:
        copy_file(self.path, folder / "tokenizer.model")


class SentencePieceText:
    """A SentencePiece model made by `tokenizers/build_text.py`: byte fallback, no normalisation, control ids first."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._model = sentencepiece.SentencePieceProcessor(model_file=str(path))
        except (OSError, RuntimeError, TypeError) as error:
            raise CheckpointError(f"{path}: not a readable SentencePiece model ({error}).") from error
        self.size = self._model.get_piece_size()
        self.bos_id, self.eos_id, self.pad_id = self._model.bos_id(), self._model.eos_id(), self._model.pad_id()
        controls = [
            token for token in range(self.size) if self._model.is_control(token) or self._model.is_unknown(token)
        ]
        if min(self.bos_id, self.eos_id, self.pad_id) < 0 or controls != list(range(len(controls))):
            raise CheckpointError(
                f"{path}: needs bos, eos and pad pieces before all others; tokenizers/build_text.py does."
            )
        self.plain = range(len(controls), self.size)

    def encode(self, text: str) -> list[int]:
        return self._model.encode(text)

    def decode(self, ids: list[int]) -> str:
        return self._model.decode(ids)

    def save(self, folder: Path) -> None:
        copy_file(self.path, folder / "tokenizer.model")


def load_text(path: str | Path) -> TextTokenizer:
    """The tokenizer in a `tokenizer.model`: SentencePiece files are binary, Llama-3's are base64 lines."""
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file; a text tokenizer is a file called tokenizer.model.")
    with reading(path):
        with path.open("rb") as file:
            head = file.read(64)
        lines = head.split(b" ")[0].isascii() and b"\n" not in head[:4] and b" " in head
        return LlamaText(path) if lines else SentencePieceText(path)
