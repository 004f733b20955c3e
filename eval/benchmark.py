"""python eval/benchmark.py train|decode|data [--json] [--size kyvo_mini] [--vocabulary kyvo|mini]

How fast training, decoding and data are, as ratios measured in one run. The variants of a measurement take turns,
round after round, so that a slow moment of the machine meets them all; a ratio is the median of the rounds' ratios.
Times alone depend on the machine and its load, so each stands beside what it is to be compared with. Weights are random
unless `--model` is given: speed does not depend on them.
"""

import argparse
import base64
import io
import json
import multiprocessing
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from importlib.metadata import version
from importlib.resources import files
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import datasets
import numpy as np
import psutil
import torch
import torch.nn.functional as F
from datasets.arrow_writer import ArrowWriter
from PIL import Image
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, LogitsProcessorList

from kyvo.api import Kyvo, choose_device
from kyvo.data.clevr import render_scenes, sample_scenes
from kyvo.data.dataset import open_set, scene_cell
from kyvo.data.sets import PICTURE
from kyvo.errors import KyvoError
from kyvo.evaluation.timing import alternate, rate_ratio
from kyvo.generation.engine import Engine, decode
from kyvo.generation.grammar import Grammar
from kyvo.generation.logits import GrammarLogits
from kyvo.generation.requests import Decoded, Request
from kyvo.models.fold import llama_config
from kyvo.models.presets import SIZES
from kyvo.scene.files import scene_to_json
from kyvo.scene.scene import Scene
from kyvo.scene.schema import clevr_schema
from kyvo.tokenizers.image import ImageTokenizer
from kyvo.tokenizers.sequence import Sequence as TokenSequence
from kyvo.tokenizers.sequence import SequenceBuilder
from kyvo.tokenizers.tasks import TASKS, Segments
from kyvo.tokenizers.text import SentencePieceText
from kyvo.tokenizers.vocabulary import SCENE_END, Vocabulary, kyvo_vocabulary
from kyvo.tokenizers.vqgan import VQGAN, VQGANConfig, image_mini, image_paper

RECOGNITION = TASKS["recognition"]
QUESTIONS = (
    "What color is the cube?",
    "How many spheres are there?",
    "Are there any rubber things?",
    "What size is the red cylinder?",
    "What shape is the green thing?",
    "Are there more cubes than spheres?",
    "What is the large thing made of?",
    "How many small things are there?",
)
IMAGES = {
    "kyvo_mini": image_mini,
    "kyvo_small": image_paper,
    "kyvo_1b": image_paper,
    "kyvo_tiny": lambda: VQGANConfig(
        width=24, height=16, ch=32, ch_mult=(1, 1, 1, 1), num_res_blocks=1, attn_resolutions=(), z_channels=4,
        embed_dim=4, n_embed=16,
    ),
}  # fmt: skip


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Runs one benchmark, prints it and returns what it printed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="our training step against the released one")
    train.add_argument("--precision", choices=["fp32", "bf16_mixed"], default="bf16_mixed")
    train.add_argument("--batch-size", type=int, default=8, help="sequences a step")
    train.add_argument("--batches", type=int, default=2, help="steps a round")
    train.add_argument("--tasks", choices=["joint", "recognition"], default="joint", help="the samples' tasks")
    train.add_argument("--pack-tokens", type=int, default=1024, help="of a row that sequences share")
    train.add_argument("--compile", action="store_true", help="compile the layers")
    train.add_argument("--matmul", type=int, default=2048, help="side of the matrices that give the matmul rate")
    together = commands.add_parser("decode", help="our engine against no cache and against transformers")
    together.add_argument("--model", help="a bundled model's name, or a model folder; else random weights of --size")
    together.add_argument("--batch-size", type=int, default=32, help="scenes decoded together")
    together.add_argument("--alone", type=int, default=2, help="scenes for what is measured one by one")
    together.add_argument("--max-objects", type=int, default=7, help="a scene's; CLEVR's mean is 6.5")
    data = commands.add_parser("data", help="ray tracer, tokenising, opening a set")
    data.add_argument("--pictures", type=int, default=64, help="ray-traced and tokenised in a round")
    data.add_argument("--pixels", type=int, default=128, help="the ray tracer's picture is as wide and high")
    data.add_argument("--rows", type=int, default=2000, help="pictures in the set that is opened")
    data.add_argument("--scenes", type=int, default=100_000, help="rows of the large set that is opened: scenes alone")
    for command in (train, together, data):
        command.add_argument("--json", action="store_true", help="print JSON")
        command.add_argument("--size", choices=list(IMAGES), default="kyvo_mini")
        command.add_argument("--repeats", type=int, default=5, help="rounds; one more goes before to warm up")
        command.add_argument("--seed", type=int, default=0)
    for command, default in ((train, "kyvo"), (together, "mini")):
        command.add_argument("--vocabulary", choices=["kyvo", "mini"], default=default)
        command.add_argument("--device", default="auto", help="auto, cpu or cuda")
    args = parser.parse_args(argv)
    if min(value for name, value in vars(args).items() if type(value) is int and name != "seed") < 1:
        parser.error("counts and sizes must be at least 1.")

    torch.manual_seed(args.seed)
    results = {"train": benchmark_train, "decode": benchmark_decode, "data": benchmark_data}[args.command](args)
    results = {"benchmark": args.command, **results, "settings": vars(args), "machine": _machine()}
    print(json.dumps(results, indent=1) if args.json else "\n".join(_lines(results)))
    return results


# Training


def benchmark_train(args: argparse.Namespace) -> dict[str, Any]:
    """The recipe's step, its batches parted in three ways, against two steps with logits at every position.

    `released` is built as the code that came with the paper: kinds of tokens embedded one by one and put in their
    places by masks, logits everywhere, in fp32 and copied, their argmax taken; `naive` leaves all of that out but the
    logits and their fp32 loss.
    """
    from kyvo.train.batch import Batch, collate  # only training needs torchtune
    from kyvo.train.data import BatchStream
    from kyvo.train.loss import labelled_loss
    from kyvo.train.model import decoder

    device = choose_device(args.device)
    builder = _builder(args.size, args.vocabulary)
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

    def streamed(pack_tokens: int | None) -> list[Batch]:
        """Batches as the recipe's stream makes them of a window of samples."""
        stream = BatchStream(
            _Listed(samples),
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
    batches = {
        "ours": streamed(None),
        "packed": streamed(args.pack_tokens),
        "padded": as_they_come,
        "naive": as_they_come,
        "released": as_they_come,
    }
    losses_of = {"naive": loss_naive, "released": loss_released}
    # Steps with shorter rows come first: what the allocator keeps of a larger one would count as theirs.
    peaks = {
        name: _peak_memory(lambda name=name: steps(losses_of.get(name, loss_ours), batches[name][:1]), device) - before
        for name in ("ours", "packed", "naive", "released")
    }
    with torch.no_grad(), autocast():
        losses = {name: loss(as_they_come[0]).item() for name, loss in (("ours", loss_ours), *losses_of.items())}
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
        "step_gflops": flops / args.batches / 1e9,  # of the labelled step without padding; the useful work of all
        "vocabulary": len(vocabulary),
        "labelled_share": num_labels / num_tokens,
        "losses_on_one_batch": losses,
    }


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


# Decoding


def benchmark_decode(args: argparse.Namespace) -> dict[str, Any]:
    """Recognition by our engine, one by one without a cache, and by transformers' `generate` with the same grammar."""
    device = choose_device(args.device)
    model, builder, prompts = _trained(args, device) if args.model else _random(args, device)
    grammar = Grammar.for_task(RECOGNITION, builder, max_objects=args.max_objects)
    few = prompts[: args.alone]
    outputs: dict[str, list[list[int]]] = {}

    def keep(name: str, run: Callable[[], list[list[int]]]) -> Callable[[], object]:
        return lambda: outputs.__setitem__(name, run())

    def engine(rows: list[list[int]]) -> list[list[int]]:
        return [row.ids for row in decode(model, rows, [grammar] * len(rows), near=0)]

    generate = partial(_generate, model, grammar, builder)
    weights = sum(parameter.nbytes for parameter in model.parameters()) - model.model.embed_tokens.weight.nbytes
    source = torch.empty(max(weights, 1 << 24), dtype=torch.uint8, device=device)
    seconds = alternate(
        {
            "ours_together": keep("ours_together", lambda: engine(prompts)),
            "ours_alone": keep("ours_alone", lambda: [engine([row])[0] for row in few]),
            "generate_together": keep("generate_together", lambda: generate(prompts)),
            "generate_alone": keep("generate_alone", lambda: [generate([row])[0] for row in few]),
            "no_cache_alone": keep("no_cache_alone", lambda: [_without_cache(model, grammar, row) for row in few]),
            "copy": lambda: source.clone(),
        },
        repeats=args.repeats,
        device=device,
    )
    tokens = {name: float(sum(map(len, rows))) for name, rows in outputs.items()}
    expected = outputs["ours_together"]
    equal = {
        name: float(np.mean([a == b for a, b in zip(rows, expected, strict=False)])) for name, rows in outputs.items()
    }
    if min(equal.values()) < 0.9:  # a tie of two ids may fall either way with another batch
        raise KyvoError(f"shares of outputs equal to ours, decoded together: {equal}; all must be 0.9 or more.")
    # At batch 1 a forward reads every weight but the embedding's once; a copy reads and writes.
    forwards = sum(_num_choices(grammar, ids) for ids in outputs["ours_alone"])

    def over(fast: str, slow: str) -> float:
        return rate_ratio(seconds, fast, slow, work=(tokens[fast], tokens[slow]))

    return {
        "together_over_alone_without_cache": over("ours_together", "no_cache_alone"),
        "together_over_generate": over("ours_together", "generate_together"),
        "alone_over_generate": over("ours_alone", "generate_alone"),
        "alone_over_without_cache": over("ours_alone", "no_cache_alone"),
        "together_over_alone": over("ours_together", "ours_alone"),
        "copy_bandwidth_share_alone": rate_ratio(
            seconds, "ours_alone", "copy", work=(float(forwards * weights), 2.0 * source.nbytes)
        ),
        "tokens_per_second": {name: count / median(seconds[name]) for name, count in tokens.items()},
        "equal_outputs": equal,
        "tokens_a_scene": tokens["ours_together"] / len(prompts),
        "forwards_saved_by_forced_ids": 1 - forwards / tokens["ours_alone"],
        "questions": questions(model, builder, repeats=args.repeats, seed=args.seed, device=device),
        "vocabulary": len(builder.vocabulary),
    }


def questions(
    model: LlamaForCausalLM, builder: SequenceBuilder, *, repeats: int, seed: int, device: str
) -> dict[str, Any]:
    """Eight questions on one picture and its scene: the first, which reads them, against the others, which share that.

    Answers are one or two ids. The others are asked one after another, and together; their rate is per question.
    """
    task = TASKS["question_answering"]
    grammar = Grammar.for_task(task, builder, max_text=2)
    rows, columns = builder.image_grid
    codes = np.random.default_rng(seed).integers(builder.vocabulary.num_image_codes, size=rows * columns)
    scene = sample_scenes(range(1), seed=seed, width=columns, height=rows)[0]
    prompts = [builder.prompt(task, Segments(image=codes, scene=scene, text=text), clamp=True) for text in QUESTIONS]
    first, *others = [Request(prompt=prompt, grammar=grammar) for prompt in prompts]
    engines = [Engine(model)]
    asked: dict[str, list[Decoded]] = {}

    def ask_first() -> None:
        engines[0] = Engine(model)
        asked["first"] = [engines[0].submit(first).result()]

    def ask_others() -> None:
        asked["others"] = [engines[0].submit(one).result() for one in others]

    def ask_others_together() -> None:
        asked["others_together"] = [handle.result() for handle in [engines[0].submit(one) for one in others]]

    seconds = alternate(
        {"first": ask_first, "others": ask_others, "others_together": ask_others_together},
        repeats=repeats,
        device=device,
    )
    alone = [row.ids for row in decode(model, prompts[1:], [grammar] * len(others), max_rows=1)]
    for name in ("others", "others_together"):
        if np.mean([row.ids == ids for row, ids in zip(asked[name], alone, strict=True)]) < 0.8:  # ties
            raise KyvoError(f"the answers of {name} are not those of questions that share nothing.")
    return {
        **{
            f"{name}_over_first": rate_ratio(seconds, name, "first", work=(len(others), 1))
            for name in ("others", "others_together")
        },
        "prompt": len(first.prompt),
        "shared": median(row.num_shared for row in asked["others"]),
    }


def _random(args: argparse.Namespace, device: str) -> tuple[LlamaForCausalLM, SequenceBuilder, list[list[int]]]:
    """Random weights and random pictures; every scene is as long as the grammar lets it be."""
    builder = _builder(args.size, args.vocabulary)
    text = builder.text
    config = llama_config(
        size=SIZES[args.size](),
        vocab_size=len(builder.vocabulary),
        bos_id=text.bos_id,
        eos_id=text.eos_id,
        pad_id=text.pad_id,
    )
    model = LlamaForCausalLM(LlamaConfig.from_dict(config)).eval().to(device)
    bias = torch.zeros(len(builder.vocabulary), device=device)
    bias[builder.vocabulary.marker_id(SCENE_END)] = -1e4  # else random weights would close some scenes at once
    model.lm_head.bias = torch.nn.Parameter(bias)
    rng = np.random.default_rng(args.seed)
    rows, columns = builder.image_grid
    pictures = rng.integers(builder.vocabulary.num_image_codes, size=(args.batch_size, rows * columns))
    return model, builder, [builder.prompt(RECOGNITION, Segments(image=codes)) for codes in pictures]


def _trained(args: argparse.Namespace, device: str) -> tuple[LlamaForCausalLM, SequenceBuilder, list[list[int]]]:
    """A trained model and ray-traced pictures."""
    kyvo = Kyvo.from_pretrained(args.model, device=device)
    builder, config = kyvo.processor.builder, kyvo.processor.image.config
    view = {"width": config.width, "height": config.height}
    scenes = sample_scenes(range(args.batch_size), seed=args.seed, **view)
    codes = kyvo.encode_images(list(render_scenes(scenes, **view)))
    return kyvo.model, builder, [builder.prompt(RECOGNITION, Segments(image=row)) for row in codes]


@torch.inference_mode()
def _without_cache(model: LlamaForCausalLM, grammar: Grammar, prompt: list[int]) -> list[int]:
    """Greedy decoding that runs the whole prefix for every id, forced ones included."""
    state, ids = grammar.START, list(prompt)
    while state != grammar.end:
        logits = model(torch.tensor([ids], device=model.device), use_cache=False, logits_to_keep=1).logits[0, -1]
        allowed = torch.from_numpy(grammar.allowed(state)).to(model.device)
        ids.append(int(allowed[logits[allowed].argmax()]))
        state = grammar.step(state, ids[-1])
    return ids[len(prompt) :]


def _generate(
    model: LlamaForCausalLM, grammar: Grammar, builder: SequenceBuilder, prompts: list[list[int]]
) -> list[list[int]]:
    """transformers' own loop; the prompts have one length, as all pictures have as many codes."""
    ids = torch.tensor(prompts, device=model.device)
    done = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=model.config.max_position_embeddings - ids.shape[1],
        eos_token_id=builder.text.eos_id,
        pad_token_id=builder.text.pad_id,
        logits_processor=LogitsProcessorList([GrammarLogits(grammar)]),
    )
    rows = done[:, ids.shape[1] :].tolist()
    return [row[: row.index(builder.text.eos_id) + 1] for row in rows]


def _num_choices(grammar: Grammar, ids: Sequence[int]) -> int:
    """How many of the ids the model was asked for."""
    state, count = grammar.START, 0
    for token in ids:
        count += grammar.forced(state) is None
        state = grammar.step(state, token)
    return count


# Data


def benchmark_data(args: argparse.Namespace) -> dict[str, Any]:
    """Two processes that ray-trace against one, tokenising together against one by one, a set against one JSON."""
    scenes = sample_scenes(range(args.pictures), seed=args.seed, width=args.pixels, height=args.pixels)
    trace = partial(render_scenes, width=args.pixels, height=args.pixels)
    halves = [scenes[: len(scenes) // 2], scenes[len(scenes) // 2 :]]
    tokenizer = ImageTokenizer(VQGAN(IMAGES[args.size]()))
    pictures = list(trace(scenes))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_both(folder, pictures, [json.dumps(scene_to_json(scene)) for scene in scenes], args.rows)
        # Spawned, as forked processes may inherit locks of torch's threads; the warm-up round pays for their start.
        with multiprocessing.get_context("spawn").Pool(2, torch.set_num_threads, (1,)) as pool:
            seconds = alternate(
                {
                    "one_process": lambda: pool.apply(trace, (scenes,)),
                    "two_processes": lambda: pool.map(trace, halves, chunksize=1),
                    "tokenise_together": lambda: tokenizer.encode(pictures),
                    "tokenise_one_by_one": lambda: [tokenizer.encode([picture]) for picture in pictures],
                    "open_set": lambda: open_set(folder)[0],
                    "load_json": lambda: json.loads((folder / "all.json").read_text())[0],
                },
                repeats=args.repeats,
            )
    return {
        "two_processes_over_one": rate_ratio(seconds, "two_processes", "one_process"),
        "tokenise_together_over_one_by_one": rate_ratio(seconds, "tokenise_together", "tokenise_one_by_one"),
        "open_set_over_load_json": rate_ratio(seconds, "open_set", "load_json"),
        "pictures_per_second": {
            name: args.pictures / median(seconds[name])
            for name in ("one_process", "two_processes", "tokenise_together", "tokenise_one_by_one")
        },
        "seconds_to_open": {name: median(seconds[name]) for name in ("open_set", "load_json")},
        "large_set": opening_many(scenes, count=args.scenes, repeats=args.repeats),
    }


def opening_many(scenes: Sequence[Scene], *, count: int, repeats: int) -> dict[str, Any]:
    """A set of `count` scenes, over and over the same, against one JSON of them: seconds, and memory, to read a row.

    The set is as `kyvo data` writes it, 500 rows a file. Memory is the growth of what a fresh process holds.
    """
    cells = [scene_cell(scenes[index % len(scenes)]) for index in range(min(500, count))]
    num_files = -(-count // len(cells))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [folder / f"data-{index:05d}-of-{num_files:05d}.arrow" for index in range(num_files)]
        for path, rows in ((paths[0], cells), (paths[-1], cells[: count - (num_files - 1) * len(cells)])):
            with ArrowWriter(path=str(path), features=datasets.Features(scene=datasets.Value("string"))) as writer:
                writer.write_batch({"scene": rows})
                writer.finalize()
        for path in paths[1:-1]:
            shutil.copyfile(paths[0], path)
        (folder / "all.json").write_text(json.dumps([{"scene": cells[index % len(cells)]} for index in range(count)]))
        seconds = alternate(
            {
                "open_set": lambda: open_set(folder)[count - 1],
                "load_json": lambda: json.loads((folder / "all.json").read_text())[count - 1],
            },
            repeats=repeats,
        )
        megabytes = {
            "open_set": _growth("open_set(folder)", folder),
            "load_json": _growth("json.loads((folder / 'all.json').read_text())", folder),
        }
    return {
        "rows": count,
        "open_set_over_load_json": rate_ratio(seconds, "open_set", "load_json"),
        "seconds_to_open": {name: median(times) for name, times in seconds.items()},
        "megabytes_to_open": megabytes,
        "memory_of_open_set_over_load_json": megabytes["open_set"] / megabytes["load_json"],
    }


def _growth(rows: str, folder: Path) -> float:
    """By how many MB a fresh process grows in memory for some rows, an expression, and the reading of their last."""
    code = f"""
import json, sys
from pathlib import Path
import psutil
from kyvo.data.dataset import open_set
folder = Path(sys.argv[1])
before = psutil.Process().memory_info().rss
rows = {rows}
rows[len(rows) - 1]
print((psutil.Process().memory_info().rss - before) / 1e6)
"""
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    return float(done.stdout)


def _write_both(folder: Path, pictures: Sequence[np.ndarray], scenes: Sequence[str], count: int) -> None:
    """A set of `count` pictures, over and over the same, as Arrow and as one JSON with the pictures in base64."""
    pngs = []
    for picture in pictures:
        png = io.BytesIO()
        Image.fromarray(picture).save(png, "png", compress_level=1)
        pngs.append(png.getvalue())
    rows = [(pngs[index % len(pngs)], scenes[index % len(pngs)], f"{index:06d}.png") for index in range(count)]
    arrow = [{"image": {"bytes": png, "path": name}, "scene": scene, "name": name} for png, scene, name in rows]
    datasets.disable_progress_bars()
    datasets.Dataset.from_list(arrow, features=datasets.Features(PICTURE)).save_to_disk(folder)
    whole = [{"image": base64.b64encode(png).decode(), "scene": scene, "name": name} for png, scene, name in rows]
    (folder / "all.json").write_text(json.dumps(whole))


# What they share


def _builder(size: str, vocabulary: str) -> SequenceBuilder:
    """Sequences with the bundled text tokenizer; in the paper's vocabulary its pieces are the first text ids."""
    image, schema = IMAGES[size](), clevr_schema()
    text = SentencePieceText(Path(str(files("kyvo"))) / "assets" / "mini" / "tokenizer.model")
    if vocabulary == "kyvo":
        layout = kyvo_vocabulary()
        text.size = layout.num_text
    else:
        layout = Vocabulary.for_schema(schema, num_text=text.size, num_image_codes=image.n_embed)
    return SequenceBuilder(vocabulary=layout, schema=schema, text=text, image_grid=(image.rows, image.columns))


def _sequences(builder: SequenceBuilder, count: int, seed: int, *, joint: bool = False) -> list[TokenSequence]:
    """Recognition of CLEVR scenes with random image codes; `joint`: the four tasks in turn."""
    rng = np.random.default_rng(seed)
    rows, columns = builder.image_grid
    codes = rng.integers(builder.vocabulary.num_image_codes, size=(count, rows * columns))
    scenes = sample_scenes(range(count), seed=seed, width=columns, height=rows)
    tasks = [TASKS[name] for name in ("recognition", "rendering", "editing", "question_answering")]
    made = []
    for index, (picture, scene) in enumerate(zip(codes, scenes, strict=True)):
        task = tasks[index % len(tasks)] if joint else RECOGNITION
        content = {"image": picture, "scene": scene, "text": "Make the small red rubber cube blue."}
        given, wanted = (
            Segments(**{segment.value: content[segment.value] for segment in side})
            for side in (task.inputs, task.outputs)
        )
        made.append(builder.build(task, given, wanted, clamp=True))
    return made


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "load_average": os.getloadavg()[0],  # far above the threads: other work was in the way
        "python": platform.python_version(),
        "torch": version("torch"),
        "transformers": version("transformers"),
    }


def _lines(results: Mapping[str, Any], prefix: str = "") -> list[str]:
    lines = []
    for name, value in results.items():
        if isinstance(value, Mapping):
            lines += _lines(value, f"{prefix}{name}.")
        else:
            lines.append(f"{prefix + name:<44} {f'{value:.4g}' if isinstance(value, float) else value}")
    return lines


if __name__ == "__main__":
    main(sys.argv[1:])
