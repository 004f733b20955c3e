"""Random tiny encoders of the published classes, in folders as transformers saves them."""

import json
import string
from pathlib import Path

import torch

DINO_WIDTH, DINO_PATCH = 16, 4
CLIP_WIDTH, CLIP_PLACES = 12, 9


def write_tiny_dino(folder: Path) -> Path:
    """DINOv2 with registers."""
    from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    torch.manual_seed(0)
    config = Dinov2WithRegistersConfig(
        hidden_size=DINO_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        mlp_ratio=2,
        image_size=28,
        patch_size=DINO_PATCH,
    )
    Dinov2WithRegistersModel(config).save_pretrained(folder)
    return folder


def write_tiny_clip(folder: Path) -> Path:
    """CLIP's text encoder, with a tokenizer that knows the letters and two words."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    letters = [*string.ascii_lowercase, *(f"{letter}</w>" for letter in string.ascii_lowercase)]
    merges = ["r e", "re d</w>", "b o", "bo x</w>"]
    pieces = [*letters, *(merge.replace(" ", "") for merge in merges), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = CLIPTextConfig(
        vocab_size=len(vocabulary),
        hidden_size=CLIP_WIDTH,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=CLIP_PLACES,
        bos_token_id=vocabulary["<|startoftext|>"],
        eos_token_id=vocabulary["<|endoftext|>"],
    )
    CLIPTextModel(config).save_pretrained(folder)
    return folder


def write_tiny_clip_model(folder: Path) -> Path:
    """CLIP whole, of pictures and texts."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTextConfig

    write_tiny_clip(folder)
    about = json.loads((folder / "config.json").read_text())
    square = {"size": {"height": 16, "width": 16}, "crop_size": {"height": 16, "width": 16}}
    CLIPImageProcessor(**square).save_pretrained(folder)
    text = CLIPTextConfig.from_dict(about).to_dict()
    vision = {
        "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 16,
        "patch_size": 8,
    }  # fmt: skip
    torch.manual_seed(0)
    CLIPModel(CLIPConfig(vision_config=vision, text_config=text, projection_dim=8)).save_pretrained(folder)
    return folder
