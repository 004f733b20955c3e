"""Evaluation while training: the loss of each task on held-out samples, and a few of them decoded and scored.

| output | score |
|---|---|
| scene | mean Jaccard index over the schema's thresholds, `kyvo.metrics.scenes` |
| picture | SSIM with the true codes' picture, so that 1 is reached where all codes are right |
| text | share of answers that equal the true one |
| program | share of programs that equal the true one |
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kyvo.api import Kyvo
from kyvo.metrics.images import ssim
from kyvo.metrics.scenes import CRITERIA, Criterion, mean_jaccard
from kyvo.models.llama.config import LlamaConfig
from kyvo.models.llama.fold import fold, llama_config
from kyvo.models.llama.network import Llama
from kyvo.models.llama.presets import DecoderSize
from kyvo.processor import Processor
from kyvo.tokenizers.tasks import Segments
from kyvo.training.batch import Batch, collate
from kyvo.training.data import TokenizedScenes
from kyvo.training.distributed import Ranks


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Samples of one task, always the same."""

    batches: list[Batch]
    examples: list[tuple[Segments, Segments]]  # given and wanted, to be decoded


def held_out(
    samples: TokenizedScenes, *, batch_size: int, num_batches: int, num_examples: int, pad_id: int, seed: int
) -> dict[str, HeldOut]:
    """For each task that the set serves, its first samples."""
    found: dict[str, HeldOut] = {}
    for task in sorted(set().union(*samples.tasks)):
        alone = samples.only(task)
        indices = range(min(len(alone), batch_size * num_batches))
        sequences = alone.sequences(indices, np.random.default_rng(seed))
        examples = [alone.segments(index, 0.0, 0.0)[1:] for index in range(min(len(alone), num_examples))]
        batches = [
            collate(sequences[at : at + batch_size], pad_id=pad_id) for at in range(0, len(sequences), batch_size)
        ]
        found[task] = HeldOut(batches=batches, examples=examples)
    return found


def held_out_losses(
    held_out: Mapping[str, HeldOut], loss_of: Callable[[Batch], Tensor], *, ranks: Ranks
) -> dict[str, float]:
    """Each task's loss, sum(w CE) / sum(w) over its batches, which the ranks share."""
    values = {}
    for task, samples in held_out.items():
        mine = samples.batches[ranks.rank :: ranks.count]
        # Ranks run a sharded model together: those with a batch less run their first again, and do not count it.
        missing = -(-len(samples.batches) // ranks.count) - len(mine)
        held_out_loss(samples.batches[:missing], loss_of, device=ranks.device)
        loss, weight = held_out_loss(mine, loss_of, device=ranks.device)
        values[f"{task}_loss"] = (ranks.sum(loss) / ranks.sum(weight)).item()
    return values


def held_out_loss(
    batches: Sequence[Batch], loss_of: Callable[[Batch], Tensor], *, device: torch.device
) -> tuple[Tensor, Tensor]:
    """sum(w CE) and sum(w) over the batches."""
    loss = weight = torch.zeros((), device=device)
    with torch.no_grad():
        for batch in batches:
            batch = batch.to(device)
            loss, weight = loss + loss_of(batch), weight + batch.weights.sum()
    return loss, weight


def load_folded(
    state: dict[str, Tensor],
    *,
    table: Tensor,
    head: Tensor,
    positions: Tensor | None,
    size: DecoderSize,
    processor: Processor,
    device: torch.device,
) -> Kyvo:
    """The model of a training state, to run."""
    text = processor.text
    config = LlamaConfig.from_dict(
        llama_config(size=size, vocab_size=len(table), bos_id=text.bos_id, eos_id=text.eos_id, pad_id=text.pad_id)
    )
    with torch.device("meta"):
        model = Llama(config)
    model.load_state_dict(fold(state, table=table, head=head, size=size), assign=True)
    return Kyvo(model=model.to(device), processor=processor, positions=positions)


def decoded_scores(kyvo: Kyvo, held_out: Mapping[str, HeldOut]) -> dict[str, float]:
    """The scores of each task's examples, by "<task>_<score>"."""
    found = {task: _decoded_score(kyvo, task, samples.examples) for task, samples in held_out.items()}
    return {f"{task}_{name}": value for task, scores in found.items() for name, value in scores.items()}


def _decoded_score(kyvo: Kyvo, task: str, examples: Sequence[tuple[Segments, Segments]]) -> dict[str, float]:
    """The scores of one task's examples, decoded together."""
    found = kyvo.complete(task, [given for given, _ in examples])
    truths = [wanted for _, wanted in examples]
    scores: dict[str, float] = {}
    scenes = [(ours.scene, true.scene) for ours, true in zip(found, truths, strict=True) if ours.scene and true.scene]
    if scenes:
        schema = kyvo.processor.schema
        words = tuple(field.name for field in schema.word_fields)
        criterion = CRITERIA.get(schema.name, Criterion(attributes=words))
        ours, theirs = zip(*scenes, strict=True)
        scores["jaccard"] = mean_jaccard(ours, theirs, taus=criterion.taus, criterion=criterion).jaccard
    pictures = [(ours.image, true.image) for ours, true in zip(found, truths, strict=True) if ours.image is not None]
    if pictures:
        true_pictures = kyvo.processor.image.decode(np.stack([np.asarray(codes) for _, codes in pictures]))
        scores["ssim"] = float(
            np.mean([ssim(ours, true) for (ours, _), true in zip(pictures, true_pictures, strict=True)])
        )
    answers = [(ours.text, true.text) for ours, true in zip(found, truths, strict=True) if ours.text is not None]
    if answers:
        scores["accuracy"] = float(np.mean([ours.strip() == (true or "").strip() for ours, true in answers]))
    programs = [(ours.program, true.program) for ours, true in zip(found, truths, strict=True) if true.program]
    if programs:
        scores["exact"] = float(np.mean([ours == true for ours, true in programs]))
    return scores
