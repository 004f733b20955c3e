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
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from statistics import median
from typing import Any

import datasets
import numpy as np
import torch
import torch.nn.functional as F
from datasets.arrow_writer import ArrowWriter
from PIL import Image
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, LogitsProcessor, LogitsProcessorList

from kyvo.api import Kyvo, choose_device
from kyvo.data.clevr import render_scenes, sample_scenes
from kyvo.data.dataset import open_set, scene_cell
from kyvo.data.sets import PICTURE
from kyvo.errors import KyvoError
from kyvo.generation.engine import decode
from kyvo.generation.grammar import Grammar
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
from kyvo.tokenizers.vqgan import VQGAN, VQGANConfig, image_mini

RECOGNITION = TASKS["recognition"]
IMAGES = {
    "kyvo_mini": image_mini,
    "kyvo_tiny": lambda: VQGANConfig(
        width=24, height=16, ch=32, ch_mult=(1, 1, 1, 1), num_res_blocks=1, attn_resolutions=(), z_channels=4,
        embed_dim=4, n_embed=16,
    ),
}  # fmt: skip

Seconds = dict[str, list[float]]  # variant -> seconds of each round


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Runs one benchmark, prints it and returns what it printed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="our training step against a naive one")
    train.add_argument("--precision", choices=["fp32", "bf16_mixed"], default="bf16_mixed")
    train.add_argument("--batch-size", type=int, default=8, help="sequences a step")
    train.add_argument("--batches", type=int, default=2, help="steps a round")
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


def alternate(variants: Mapping[str, Callable[[], object]], *, repeats: int, device: str = "cpu") -> Seconds:
    """Seconds of each variant in each round; a first round, not counted, warms up."""
    seconds: Seconds = {name: [] for name in variants}
    for round_number in range(repeats + 1):
        for name, variant in variants.items():
            start = time.perf_counter()
            variant()
            if device == "cuda":
                torch.cuda.synchronize()
            if round_number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def rate_ratio(seconds: Seconds, fast: str, slow: str, *, work: tuple[float, float] = (1.0, 1.0)) -> float:
    """How many times the rate of `slow` the variant `fast` reaches, where they do this much work a round."""
    pairs = zip(seconds[fast], seconds[slow], strict=True)
    return median((work[0] / ours) / (work[1] / theirs) for ours, theirs in pairs)


# Training


def benchmark_train(args: argparse.Namespace) -> dict[str, Any]:
    """The recipe's step against one with logits, and an fp32 loss, at every position of batches as they come.

    The released code also argmaxes these logits and copies them once more; that is left out here.
    """
    from kyvo.train.data import Batch, collate  # only training needs torchtune
    from kyvo.train.loss import labelled_loss
    from kyvo.train.model import decoder

    device = choose_device(args.device)
    builder = _builder(args.size, args.vocabulary)
    vocabulary = builder.vocabulary
    model = decoder(
        vocabulary,
        torch.randn(vocabulary.num_image_codes, 16),
        torch.randn(vocabulary.num_shape_codes, 16) if vocabulary.num_shape_codes else None,
        size=args.size,
        freeze_text=args.vocabulary == "kyvo",  # a pretrained table is kept; the small one is trained
    ).to(device)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)
    samples = _sequences(builder, args.batch_size * args.batches, args.seed)
    by_length = sorted(samples, key=lambda sequence: len(sequence.ids))

    def batches(sequences: list[TokenSequence]) -> list[Batch]:
        starts = range(0, len(sequences), args.batch_size)
        parts = [sequences[start : start + args.batch_size] for start in starts]
        return [collate(part, pad_id=builder.text.pad_id).to(torch.device(device)) for part in parts]

    def loss_ours(batch: Batch) -> Tensor:
        total = labelled_loss(
            model.hidden(batch.ids), model.output.table(), batch.positions, batch.targets, batch.weights
        )
        return total / batch.weights.sum()

    def loss_naive(batch: Batch) -> Tensor:
        logits = model.output(model.hidden(batch.ids)).float()  # batch seq vocab
        targets = torch.zeros(batch.ids.numel(), dtype=torch.long, device=device)
        weights = torch.zeros(batch.ids.numel(), device=device)
        targets[batch.positions], weights[batch.positions] = batch.targets, batch.weights
        return (F.cross_entropy(logits.flatten(0, 1), targets, reduction="none") * weights).sum() / weights.sum()

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
    ours, naive = batches(by_length), batches(samples)
    with torch.no_grad(), autocast():
        losses = [loss_ours(naive[0]).item(), loss_naive(naive[0]).item()]
    if abs(losses[0] - losses[1]) > 1e-2 * abs(losses[1]):
        raise KyvoError(
            f"the two steps have the losses {losses[0]:.5f} and {losses[1]:.5f} on one batch; they must agree."
        )
    seconds = alternate(
        {
            "ours": lambda: steps(loss_ours, ours),
            "naive": lambda: steps(loss_naive, naive),
            "matmul": lambda: square @ square,
        },
        repeats=args.repeats,
        device=device,
    )
    num_tokens = sum(len(sequence.ids) for sequence in samples)
    num_labels = sum(len(batch.targets) for batch in naive)
    flops = _step_flops(model, samples, num_labels)
    matmul = 2 * args.matmul**3
    return {
        "ours_over_naive": rate_ratio(seconds, "ours", "naive"),
        "mfu": {name: rate_ratio(seconds, name, "matmul", work=(flops, matmul)) for name in ("ours", "naive")},
        "tokens_per_second": {name: num_tokens / median(seconds[name]) for name in ("ours", "naive")},
        "matmul_gflops_per_second": matmul / median(seconds["matmul"]) / 1e9,
        "step_gflops": flops / args.batches / 1e9,  # of the labelled step without padding; the useful work of both
        "vocabulary": len(vocabulary),
        "labelled_share": num_labels / num_tokens,
        "losses_on_one_batch": dict(zip(("ours", "naive"), losses, strict=True)),
    }


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
        "vocabulary": len(builder.vocabulary),
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
        logits_processor=LogitsProcessorList([_Obey(grammar)]),
    )
    rows = done[:, ids.shape[1] :].tolist()
    return [row[: row.index(builder.text.eos_id) + 1] for row in rows]


class _Obey(LogitsProcessor):
    """The grammar as transformers takes it; states move on with the newest id of each row."""

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self.states: list[int] = []
        self.masks: dict[int, Tensor] = {}

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if self.states:
            newest = input_ids[:, -1].tolist()
            self.states = [self._step(state, token) for state, token in zip(self.states, newest, strict=True)]
        else:
            self.states = [self.grammar.START] * len(input_ids)
        return scores.masked_fill(torch.stack([self._mask(state, scores) for state in self.states]), -torch.inf)

    def _step(self, state: int, token: int) -> int:
        return state if state == self.grammar.end else self.grammar.step(state, token)

    def _mask(self, state: int, scores: Tensor) -> Tensor:
        """True where an id may not come; a finished row is padded by `generate` whatever its scores."""
        if state not in self.masks:
            mask = torch.full((scores.shape[1],), state != self.grammar.end, device=scores.device)
            mask[torch.from_numpy(self.grammar.allowed(state)).to(scores.device)] = False
            self.masks[state] = mask
        return self.masks[state]


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


def _sequences(builder: SequenceBuilder, count: int, seed: int) -> list[TokenSequence]:
    """Recognition of CLEVR scenes with random image codes."""
    rng = np.random.default_rng(seed)
    rows, columns = builder.image_grid
    codes = rng.integers(builder.vocabulary.num_image_codes, size=(count, rows * columns))
    scenes = sample_scenes(range(count), seed=seed, width=columns, height=rows)
    return [
        builder.build(RECOGNITION, Segments(image=picture), Segments(scene=scene), clamp=True)
        for picture, scene in zip(codes, scenes, strict=True)
    ]


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
