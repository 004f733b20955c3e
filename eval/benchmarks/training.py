"""A training step against one with logits at every position, and the share of the matmul rate."""

import argparse
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import islice
from statistics import median
from typing import Any

import numpy as np
import psutil
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.inputs import builder_of
from kyvo.data.clevr.sampling import sample_scenes
from kyvo.devices import choose_device
from kyvo.errors import KyvoError
from kyvo.evaluation.timing import alternate, rate_ratio
from kyvo.tokenizers.scene import ALL_PARTS
from kyvo.tokenizers.sequence import Sequence as TokenSequence
from kyvo.tokenizers.sequence import SequenceBuilder
from kyvo.tokenizers.tasks import TASKS, Segments
from kyvo.tokenizers.vocabulary import Vocabulary

TASK_NAMES = ("recognition", "rendering", "editing", "question_answering")  # of the joint mixture, in turn


def benchmark_train(args: argparse.Namespace) -> dict[str, Any]:
    """The recipe's step, its batches parted in three ways, against two steps with logits at every position.

    `allowed` is the step with `train.loss=allowed`: a softmax among the ids that the constraint allows. `ours` has the
    softmax over the vocabulary, at labels alone.
    `released` is built as the code that came with the paper: kinds of tokens embedded one by one and put in their
    places by masks, logits everywhere, in fp32 and copied, their argmax taken; `naive` leaves all of that out but the
    logits and their fp32 loss.
    """
    from kyvo.training.batch import Batch, collate  # only training needs torchtune
    from kyvo.training.batch_stream import BatchStream
    from kyvo.training.loss import allowed_loss, labelled_loss
    from kyvo.training.model import attention_kernel, decoder

    device = choose_device(args.device)
    builder = builder_of(args.size, args.vocabulary)
    vocabulary = builder.vocabulary
    before = psutil.Process().memory_info().rss
    model = decoder(
        vocabulary,
        torch.randn(vocabulary.num_image_codes, 16),
        torch.randn(vocabulary.num_shape_codes, 16) if vocabulary.num_shape_codes else None,
        size=args.size,
        freeze_text=args.vocabulary == "kyvo",  # a pretrained table is kept; the small one is trained
    ).to(device)
    if args.compile:
        torch._dynamo.config.recompile_limit = 64
        for layer in model.layers:
            layer.compile(dynamic=False)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)
    samples = _sequences(builder, args.batch_size * args.batches, args.seed, joint=args.tasks == "joint")

    def collated(parts: Sequence[Sequence[TokenSequence]], pack_tokens: int | None = None) -> list[Batch]:
        pad_id = builder.text.pad_id
        return [collate(part, pad_id=pad_id, pack_tokens=pack_tokens).to(torch.device(device)) for part in parts]

    def streamed(listed: Sequence[TokenSequence], pack_tokens: int | None) -> list[Batch]:
        """Batches as the recipe's stream makes them of a window of samples."""
        stream = BatchStream(
            _Listed(listed),
            batch_size=args.batch_size,
            seed=args.seed,
            max_seq_len=model.max_seq_len,
            pad_id=builder.text.pad_id,
            pack_tokens=pack_tokens,
        )
        return [batch.to(torch.device(device)) for batch in islice(stream, args.batches)]

    def loss_ours(batch: Batch) -> Tensor:
        hidden = model.hidden(batch.ids, mask=batch.attention())
        total = labelled_loss(hidden, model.output.table(), batch.positions, batch.targets, batch.weights)
        return total / batch.weights.sum()

    def loss_allowed(batch: Batch) -> Tensor:
        hidden = model.hidden(batch.ids, mask=batch.attention())
        total = allowed_loss(hidden, model.output.table(), batch.positions, batch.groups, batch.weights)
        return total / batch.weights.sum()

    def loss_of_logits(batch: Batch, logits: Tensor) -> Tensor:
        targets = torch.zeros(batch.ids.numel(), dtype=torch.long, device=device)
        weights = torch.zeros(batch.ids.numel(), device=device)
        targets[batch.positions], weights[batch.positions] = batch.targets, batch.weights
        return (F.cross_entropy(logits.flatten(0, 1), targets, reduction="none") * weights).sum() / weights.sum()

    def loss_naive(batch: Batch) -> Tensor:
        return loss_of_logits(batch, model.output(model.hidden(batch.ids)).float())

    def loss_released(batch: Batch) -> Tensor:
        states = _embedded_by_masks(model, batch.ids, vocabulary)
        for layer in model.layers:
            states = layer(states)
        logits = model.output(model.norm(states)).float()
        loss = loss_of_logits(batch, logits.contiguous().clone())
        logits.argmax(-1).tolist()
        return loss

    def autocast() -> Any:
        return torch.autocast(device, torch.bfloat16) if args.precision == "bf16_mixed" else nullcontext()

    def steps(loss_of: Callable[[Batch], Tensor], parts: list[Batch]) -> None:
        for batch in parts:
            with attention_kernel(torch.device(device)) if loss_of in (loss_ours, loss_allowed) else nullcontext():
                with autocast():
                    loss = loss_of(batch)
                loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    dtype = torch.bfloat16 if args.precision == "bf16_mixed" else torch.float32
    square = torch.randn(args.matmul, args.matmul, device=device).to(dtype)
    starts = range(0, len(samples), args.batch_size)
    as_they_come = collated([samples[start : start + args.batch_size] for start in starts])
    walked = _walked(builder, samples, args.tasks)
    batches = {
        "allowed": streamed(walked, None),
        "allowed_packed": streamed(walked, args.pack_tokens),
        "allowed_padded": collated([walked[start : start + args.batch_size] for start in starts]),
        "ours": streamed(samples, None),
        "packed": streamed(samples, args.pack_tokens),
        "padded": as_they_come,
        "naive": as_they_come,
        "released": as_they_come,
    }
    losses_of = {"naive": loss_naive, "released": loss_released} | {
        name: loss_allowed for name in batches if name.startswith("allowed")
    }
    # Steps with shorter rows come first: what the allocator keeps of a larger one would count as theirs.
    peaks = {
        name: _peak_memory(lambda name=name: steps(losses_of.get(name, loss_ours), batches[name][:1]), device) - before
        for name in ("allowed", "allowed_packed", "ours", "packed", "naive", "released")
    }
    with torch.no_grad(), autocast():
        free = (("ours", loss_ours), ("naive", loss_naive), ("released", loss_released))
        losses = {name: loss(as_they_come[0]).item() for name, loss in free}
    if max(losses.values()) - min(losses.values()) > 1e-2 * losses["naive"]:
        raise KyvoError(f"the steps have the losses {losses} on one batch; they must agree.")
    seconds = alternate(
        {
            **{name: partial(steps, losses_of.get(name, loss_ours), parts) for name, parts in batches.items()},
            "matmul": lambda: square @ square,
        },
        repeats=args.repeats,
        device=device,
    )
    num_tokens = sum(len(sequence.ids) for sequence in samples)
    num_labels = sum(len(batch.targets) for batch in as_they_come)
    flops = _step_flops(model, samples, num_labels)
    matmul = 2 * args.matmul**3
    return {
        "allowed_over_released": rate_ratio(seconds, "allowed", "released"),
        "allowed_padded_over_released": rate_ratio(seconds, "allowed_padded", "released"),
        "allowed_packed_over_allowed": rate_ratio(seconds, "allowed_packed", "allowed"),
        "allowed_over_ours": rate_ratio(seconds, "allowed", "ours"),
        "memory_of_allowed_over_released": peaks["allowed"] / peaks["released"],
        "ours_over_released": rate_ratio(seconds, "ours", "released"),
        "ours_over_naive": rate_ratio(seconds, "ours", "naive"),
        "packed_over_ours": rate_ratio(seconds, "packed", "ours"),
        "packed_over_padded": rate_ratio(seconds, "packed", "padded"),
        "ours_over_padded": rate_ratio(seconds, "ours", "padded"),
        "memory_of_ours_over_released": peaks["ours"] / peaks["released"],
        "peak_megabytes": {name: peak / 1e6 for name, peak in peaks.items()},
        "mfu": {name: rate_ratio(seconds, name, "matmul", work=(flops, matmul)) for name in batches},
        "tokens_per_second": {name: num_tokens / median(seconds[name]) for name in batches},
        "share_of_padding": {
            name: 1 - num_tokens / sum(batch.ids.numel() for batch in parts) for name, parts in batches.items()
        },
        "matmul_gflops_per_second": matmul / median(seconds["matmul"]) / 1e9,
        "step_gflops": flops / args.batches / 1e9,  # of the labelled step without padding: what MFU counts for all
        "vocabulary": len(vocabulary),
        "labelled_share": num_labels / num_tokens,
        "losses_on_one_batch": losses,
    }


def _walked(builder: SequenceBuilder, samples: Sequence[TokenSequence], tasks: str) -> list[TokenSequence]:
    """The samples with what each of their labels is one of."""
    from kyvo.training.allowed import AllowedWalk

    walk = AllowedWalk(builder)
    names = TASK_NAMES if tasks == "joint" else ("recognition",)
    return [walk(TASKS[names[index % len(names)]], one, ALL_PARTS) for index, one in enumerate(samples)]


class _Listed:
    """Sequences at hand in the place of a set that makes them."""

    def __init__(self, sequences: Sequence[TokenSequence]) -> None:
        self.made = sequences

    def __len__(self) -> int:
        return len(self.made)

    def sequences(self, indices: Sequence[int], rng: np.random.Generator) -> list[TokenSequence]:
        return [self.made[index] for index in indices]

    def describe(self, index: int) -> str:
        return f"sample {index}"


def _embedded_by_masks(model: Any, ids: Tensor, vocabulary: Vocabulary) -> Tensor:
    """The composite embedding as the released code computes it: each kind for all ids, then picked by its mask."""
    table = model.tok_embeddings.other_table()
    parts = [
        model.tok_embeddings.text.weight,
        *table.split([len(part) for part in list(vocabulary.ranges.values())[1:]]),
    ]
    states = torch.zeros(*ids.shape, model.size.dim, device=ids.device)
    for part, span in zip(parts, vocabulary.ranges.values(), strict=True):
        if len(span):
            of_kind = (ids >= span.start) & (ids < span.stop)
            rows = F.embedding((ids - span.start).clamp(0, len(span) - 1), part)
            states[of_kind] = rows[of_kind]
    return states


def _peak_memory(run: Callable[[], object], device: str) -> int:
    """Bytes the process, or the GPU, held at most while it ran."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        run()
        return torch.cuda.max_memory_allocated()
    process, done, peak = psutil.Process(), threading.Event(), 0

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.002):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    run()
    done.set()
    watcher.join()
    return peak


def _step_flops(model: Any, samples: Sequence[TokenSequence], num_labels: int) -> float:
    """Matmul FLOPs of forward and backward: layers at every token, head at labelled ones, half of the attention."""
    size = model.size
    weights = sum(parameter.numel() for parameter in model.layers.parameters() if parameter.ndim == 2)
    lengths = [len(sequence.ids) for sequence in samples]
    attention = 6 * size.num_layers * size.dim * sum(length**2 for length in lengths)
    return 6.0 * weights * sum(lengths) + attention + 6.0 * model.output.weight.numel() * num_labels


def _sequences(builder: SequenceBuilder, count: int, seed: int, *, joint: bool = False) -> list[TokenSequence]:
    """Recognition of CLEVR scenes with random image codes; `joint`: the four tasks in turn."""
    rng = np.random.default_rng(seed)
    rows, columns = builder.image_grid
    codes = rng.integers(builder.vocabulary.num_image_codes, size=(count, rows * columns))
    scenes = sample_scenes(range(count), seed=seed, width=columns, height=rows)
    tasks = [TASKS[name] for name in TASK_NAMES]
    made = []
    for index, (picture, scene) in enumerate(zip(codes, scenes, strict=True)):
        task = tasks[index % len(tasks)] if joint else TASKS["recognition"]
        content = {"image": picture, "scene": scene, "text": "Make the small red rubber cube blue."}
        given, wanted = (
            Segments(**{segment.value: content[segment.value] for segment in side})
            for side in (task.inputs, task.outputs)
        )
        made.append(builder.build(task, given, wanted, clamp=True))
    return made
