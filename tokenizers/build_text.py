"""Train the small SentencePiece text tokenizer of the bundled model.

    python tokenizers/build_text.py --out kyvo/assets/mini/tokenizer.model [--corpus FILE ...] [--size 768]

Without a corpus it learns from sentences about scenes made here: the words of all schemas, and the phrases in which
people ask about scenes and edit them. Every schema word is one piece; anything else falls back to bytes, so every
text comes back exactly. Deterministic: the same arguments give the same file.
"""

import argparse
import io
import itertools
import sys
from pathlib import Path

import sentencepiece

from kyvo.files import write_bytes
from kyvo.scene.builtin_schemas import SCHEMAS

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", *map(str, range(11)))
SIDES = ("left of", "right of", "in front of", "behind", "next to", "above", "below")
PHRASES = (
    "How many {} {}s are there?",
    "What number of {} things are {} the {} {}?",
    "Is there a {} {} {} the {} {}?",
    "Are there any other things that have the same color as the {} {}?",
    "There is a {} {}; what is its material?",
    "What size is the {} object that is {} the {} {}?",
    "What color is the {} {}?",
    "What shape is the {} object {} the {} {}?",
    "Does the {} {} have the same shape as the {} {}?",
    "Are there fewer {} {}s than {} {}s?",
    "Is the number of {} {}s greater than the number of {} {}s?",
    "Move the {} {} to the {} the {} {}.",
    "Put a {} {} {} the {} {}, please.",
    "Add a {} {} {} the {} {}.",
    "Remove the {} {} that is {} the {} {}.",
    "Delete every {} {}.",
    "Change the color of the {} {} to {}.",
    "Make the {} {} {} and {}.",
    "Turn the {} {} into a {} {}.",
    "Replace the {} {} with a {} {}.",
    "Swap the {} {} and the {} {}.",
    "yes",
    "no",
    "True",
    "False",
)


def scene_words() -> list[str]:
    """Every word of every schema, in schema order, once."""
    words = (word for make in SCHEMAS.values() for field in make().fields for word in field.words)
    return list(dict.fromkeys(words))


def sentences(words: list[str], *, repeats: int = 40) -> list[str]:
    """The built-in corpus: each phrase filled with words in turn."""
    fill = itertools.cycle(dict.fromkeys([*words, *SIDES, *NUMBERS]))
    return [phrase.format(*itertools.islice(fill, phrase.count("{}"))) for _ in range(repeats) for phrase in PHRASES]


def main(argv: list[str] | None = None) -> Path:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the model file to write")
    parser.add_argument("--corpus", type=Path, nargs="*", default=[], help="text files, one sentence a line")
    parser.add_argument("--size", type=int, default=768, help="pieces at most, bytes and control pieces counted in")
    args = parser.parse_args(argv)

    words = scene_words()
    corpus = [line for path in args.corpus for line in path.read_text().splitlines()] or sentences(words)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus),
        model_writer=model,
        vocab_size=args.size,
        model_type="unigram",
        hard_vocab_limit=False,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=False,
        user_defined_symbols=[f"\u2581{word}" for word in words],
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=3,
        num_threads=1,
        minloglevel=2,
    )
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(args.out, model.getvalue())
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue()).get_piece_size()
    print(f"{args.out}: {pieces} pieces from {len(corpus):,} sentences")
    return args.out


if __name__ == "__main__":
    main(sys.argv[1:])
