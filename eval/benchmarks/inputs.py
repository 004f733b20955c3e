"""What is measured on: sequences of a size and vocabulary, with the bundled text tokenizer."""

from importlib.resources import files
from pathlib import Path

from kyvo.scene.builtin_schemas import clevr_schema
from kyvo.tokenizers.sequence import SequenceBuilder
from kyvo.tokenizers.text import SentencePieceText
from kyvo.tokenizers.vocabulary import Vocabulary, kyvo_vocabulary
from kyvo.tokenizers.vqgan import VQGANConfig, image_mini, image_paper

IMAGES = {
    "kyvo_mini": image_mini,
    "kyvo_small": image_paper,
    "kyvo_1b": image_paper,
    "kyvo_tiny": lambda: VQGANConfig(
        width=24, height=16, ch=32, ch_mult=(1, 1, 1, 1), num_res_blocks=1, attn_resolutions=(), z_channels=4,
        embed_dim=4, n_embed=16,
    ),
}  # fmt: skip


def builder_of(size: str, vocabulary: str) -> SequenceBuilder:
    """Sequences with the bundled text tokenizer; in the paper's vocabulary its pieces are the first text ids."""
    image, schema = IMAGES[size](), clevr_schema()
    text = SentencePieceText(Path(str(files("kyvo"))) / "assets" / "mini" / "tokenizer.model")
    if vocabulary == "kyvo":
        layout = kyvo_vocabulary()
        text.size = layout.num_text
    else:
        layout = Vocabulary.for_schema(schema, num_text=text.size, num_image_codes=image.n_embed)
    return SequenceBuilder(vocabulary=layout, schema=schema, text=text, image_grid=(image.rows, image.columns))
