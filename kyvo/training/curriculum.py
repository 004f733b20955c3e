"""The micro-batches of a run, from any step on: those of the easy data first, then the data's."""

import itertools
from collections.abc import Iterator

from kyvo.training.args import TrainArgs
from kyvo.training.batch import MULTIPLE, MULTIPLE_CUDA, Batch
from kyvo.training.batch_stream import BatchStream, Samples, load_batches
from kyvo.training.distributed import Ranks


def curriculum(
    samples: Samples,
    easy_samples: Samples | None,
    *,
    args: TrainArgs,
    ranks: Ranks,
    max_seq_len: int,
    pad_id: int,
    step: int,
) -> Iterator[Batch]:
    """This rank's micro-batches from `step` on, without end.

    Args:
        samples: the data.
        easy_samples: what the first `args.easy_steps` steps take.
        max_seq_len: tokens that the model takes.
        pad_id: of the text tokenizer.
    """

    def stream(data: Samples, start: int) -> Iterator[Batch]:
        batches = BatchStream(
            data,
            batch_size=args.batch_size,
            seed=args.seed,
            max_seq_len=max_seq_len,
            pad_id=pad_id,
            start=start,
            slots=args.gradient_accumulation * ranks.count,
            rank=ranks.rank,
            num_ranks=ranks.count,
            pack_tokens=args.pack_tokens,
            skip_too_long=args.too_long == "skip",
            multiple=MULTIPLE if ranks.device.type == "cpu" else MULTIPLE_CUDA,
        )
        return load_batches(batches, prefetch=args.prefetch)

    if easy_samples is not None and step < args.easy_steps:
        num_easy = (args.easy_steps - step) * args.gradient_accumulation
        yield from itertools.islice(stream(easy_samples, step), num_easy)
    yield from stream(samples, max(0, step - args.easy_steps))
