"""What torchtune's own single-device recipes need of us, as components of their YAML.

    tune run full_finetune_single_device --config configs/torchtune/full.yaml
    tune run lora_finetune_single_device --config configs/torchtune/lora.yaml

These recipes divide by the number of labels, so their loss is sum(w CE) / count; they shift labels, move tensors and
keep time. Head and cross-entropy are the model's here, so that logits exist at labels alone. They save at epoch ends,
and their LoRA loses the new rows on a resume: `recipes/finetune.py` does not.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.utils.data import Dataset

from kyvo.deprecated import current_settings
from kyvo.processor import Processor
from kyvo.tokenizers.sequence import IGNORE
from kyvo.tokenizers.sequence import Sequence as TokenSequence
from kyvo.tokenizers.text import TextTokenizer
from kyvo.training.batch import collate
from kyvo.training.checkpoint import load_checkpoint, save_checkpoint
from kyvo.training.data import TokenizedScenes
from kyvo.training.folding import save_folded
from kyvo.training.init_weights import apply_init_weights
from kyvo.training.init_weights_files import read_init_weights
from kyvo.training.lora import TARGETS, PeftArgs, add_adapters
from kyvo.training.loss import labelled_loss
from kyvo.training.model import KyvoDecoder, decoder

PREFIX = "decoder."


class LossModel(nn.Module):
    """A decoder that gives sum(w CE) and sum(w) in the place of logits."""

    def __init__(self, model: KyvoDecoder, *, adapts: bool) -> None:
        super().__init__()
        self.decoder = model
        self.adapts = adapts

    def forward(
        self,
        tokens: Int[Tensor, "batch seq"],
        targets: Int[Tensor, "batch seq"],
        weights: Float[Tensor, "batch seq"],
        grid_positions: Int[Tensor, "batch seq"],
        mask: Bool[Tensor, "batch seq seq"] | None = None,
    ) -> list[Tensor]:
        """`targets` are the next ids, -100 where there is no label."""
        hidden = self.decoder.hidden(tokens, grid_positions=grid_positions, mask=mask)
        head, targets = self.decoder.output, targets.flatten()
        positions = (targets != IGNORE).nonzero()[:, 0]
        weights = weights.flatten()[positions]
        loss = labelled_loss(hidden, head.trained_rows(), positions, targets[positions], weights, frozen=head.frozen)
        return [loss, weights.sum()]

    def adapter_params(self) -> list[str]:
        """What torchtune's LoRA recipe is to train besides the adapters: all outside of the layers that is free."""
        if not self.adapts:
            return []
        return [
            name
            for name, parameter in self.named_parameters()
            if parameter.requires_grad and not name.startswith(f"{PREFIX}layers.")
        ]


def _decoder(processor: Processor, settings: Mapping[str, Any]) -> KyvoDecoder:
    builder, shape = processor.builder, processor.shape
    return decoder(
        builder.vocabulary,
        processor.image.codebook,
        None if shape is None else shape.codebook,
        image_grid=builder.image_grid,
        image_order=builder.order,
        **settings,
    )


def model(
    *,
    processor: str,
    size: str = "kyvo_mini",
    freeze_text: bool = False,
    freeze_head_text: bool = False,
    positions: bool = False,
    lora_rank: int = 0,
    lora_alpha: float = 16.0,
    lora_attn_modules: Sequence[str] = (),
    apply_lora_to_mlp: bool = False,
) -> LossModel:
    """The decoder of a processor folder. With a `lora_rank` its layers are frozen and get adapters; the names of the
    settings are those that torchtune's recipe reads."""
    settings = {
        "size": size,
        "freeze_text": freeze_text,
        "freeze_head_text": freeze_head_text,
        "positions": positions,
    }
    made = _decoder(Processor.from_pretrained(processor), settings)
    if lora_rank:
        wanted = {f"attn.{name}" for name in lora_attn_modules}
        wanted |= {"mlp.w1", "mlp.w2", "mlp.w3"} if apply_lora_to_mlp else set()
        targets = [target for target, name in TARGETS.items() if name in wanted]
        add_adapters(made, PeftArgs(method="lora", rank=lora_rank, alpha=float(lora_alpha), targets=targets))
    return LossModel(made, adapts=lora_rank > 0)


def tokenizer(*, processor: str) -> TextTokenizer:
    """Of which the recipes read `pad_id`."""
    return Processor.from_pretrained(processor).text


class Scenes(Dataset):
    """Coded sets as a map-style set; a sample's task is drawn from the seed and its index."""

    def __init__(
        self,
        _tokenizer: TextTokenizer,
        *,
        processor: str,
        folders: list[str],
        tasks: Mapping[str, float],
        seed: int = 0,
    ) -> None:
        builder = Processor.from_pretrained(processor).builder
        self.samples = TokenizedScenes(builder, folders=list(folders), tasks=dict(tasks))
        self.seed = seed

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> TokenSequence:
        return self.samples.sequences([index], np.random.default_rng([self.seed, index]))[0]


def collate_scenes(sequences: list[TokenSequence], *, padding_idx: int, ignore_idx: int) -> dict[str, Tensor]:
    """What `LossModel` takes, and the `labels` that the recipes count."""
    batch = collate(sequences, pad_id=padding_idx)
    targets = torch.full_like(batch.ids, ignore_idx)
    weights = torch.zeros(batch.ids.shape)
    targets.view(-1)[batch.positions] = batch.targets
    weights.view(-1)[batch.positions] = batch.weights
    labels = torch.full_like(batch.ids, ignore_idx)
    labels[:, 1:] = targets[:, :-1]
    found = {
        "tokens": batch.ids,
        "labels": labels,
        "targets": targets,
        "weights": weights,
        "grid_positions": batch.grid_positions,
    }
    mask = batch.attention()
    return {**found, "mask": mask} if isinstance(mask, Tensor) else found


class SumLoss(nn.Module):
    """sum(w CE) over the number of labels, which the recipes multiply by that number again."""

    ignore_index = IGNORE

    def forward(self, parts: list[Tensor], labels: Int[Tensor, "batch seq"]) -> Float[Tensor, ""]:
        return parts[0] / (labels != self.ignore_index).sum()


class Checkpointer:
    """Checkpoints of `kyvo.training.checkpoint`, one an epoch, each with the folded model."""

    def __init__(
        self,
        *,
        output_dir: str,
        model: Mapping[str, Any],
        init_weights: str | None = None,
        start: str | None = None,
        seed: int = 0,
        keep_last: int = 2,
        model_type: str = "KYVO",
        should_load_recipe_state: bool = False,
    ) -> None:
        """`model` is the section of that name, `model_type` is read by torchtune alone, `start` is the old name of
        `init_weights`."""
        settings = {name: value for name, value in model.items() if not name.startswith(("_", "lora", "apply_lora"))}
        self.output_dir = Path(output_dir)
        self.processor = Processor.from_pretrained(settings.pop("processor"))
        self.build = partial(_decoder, self.processor, settings)
        given = {"init_weights": init_weights} | ({} if start is None else {"start": start})
        self.init_weights = current_settings(given, "checkpointer.")["init_weights"]
        self.seed = seed
        self.keep_last = keep_last
        self.resumes = should_load_recipe_state

    def load_checkpoint(self) -> dict[str, Any]:
        """The newest checkpoint's state where a run goes on, else the first weights."""
        if self.resumes and (state := load_checkpoint(self.output_dir)) is not None:
            return state
        torch.manual_seed(self.seed)
        first = self.build()
        if self.init_weights is not None:
            apply_init_weights(
                first,
                read_init_weights(Path(self.init_weights), size=first.size),
                where=self.init_weights,
                vocabulary=self.processor.vocabulary,
            )
        return {"model": {PREFIX + name: tensor for name, tensor in first.state_dict().items()}}

    def save_checkpoint(
        self, state_dict: dict[str, Any], epoch: int, intermediate_checkpoint: bool, adapter_only: bool = False
    ) -> None:
        """Writes an epoch's state. The model in it has its adapters merged, where there are any."""
        del intermediate_checkpoint, adapter_only
        state = {name.removeprefix(PREFIX): tensor for name, tensor in state_dict["model"].items()}
        size = self.build().size
        save_checkpoint(
            self.output_dir,
            step=epoch,
            state=state_dict,
            write_model=lambda folder: save_folded(folder, state, self.build, self.processor, size=size),
            keep_last=self.keep_last,
        )
