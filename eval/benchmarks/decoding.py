"""Decoding against no cache and against transformers' `generate`; questions that share one beginning."""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM, LogitsProcessorList

from benchmarks.inputs import builder_of
from kyvo.api import Kyvo
from kyvo.data.clevr.sampling import render_scenes, sample_scenes
from kyvo.devices import choose_device
from kyvo.errors import KyvoError
from kyvo.evaluation.timing import alternate, rate_ratio
from kyvo.generation.constraint import Constraint
from kyvo.generation.engine import Engine, decode
from kyvo.generation.logits import ConstraintLogits
from kyvo.generation.requests import DecodedSequence, Request
from kyvo.models.llama.fold import llama_config
from kyvo.models.llama.presets import SIZES
from kyvo.tokenizers.sequence import SequenceBuilder
from kyvo.tokenizers.tasks import TASKS, Segments
from kyvo.tokenizers.vocabulary import SCENE_END

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


def benchmark_decode(args: argparse.Namespace) -> dict[str, Any]:
    """Recognition by our engine, one by one without a cache, and by transformers' `generate` with the same grammar."""
    device = choose_device(args.device)
    model, builder, prompts = _trained(args, device) if args.model else _random(args, device)
    constraint = Constraint.for_task(RECOGNITION, builder, max_objects=args.max_objects)
    few = prompts[: args.alone]
    outputs: dict[str, list[list[int]]] = {}

    def keep(name: str, run: Callable[[], list[list[int]]]) -> Callable[[], object]:
        return lambda: outputs.__setitem__(name, run())

    def engine(rows: list[list[int]]) -> list[list[int]]:
        return [row.ids for row in decode(model, rows, [constraint] * len(rows), near=0)]

    generate = partial(_generate, model, constraint, builder)
    weights = sum(parameter.nbytes for parameter in model.parameters()) - model.model.embed_tokens.weight.nbytes
    source = torch.empty(max(weights, 1 << 24), dtype=torch.uint8, device=device)
    seconds = alternate(
        {
            "ours_together": keep("ours_together", lambda: engine(prompts)),
            "ours_alone": keep("ours_alone", lambda: [engine([row])[0] for row in few]),
            "generate_together": keep("generate_together", lambda: generate(prompts)),
            "generate_alone": keep("generate_alone", lambda: [generate([row])[0] for row in few]),
            "no_cache_alone": keep("no_cache_alone", lambda: [_without_cache(model, constraint, row) for row in few]),
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
    forwards = sum(_num_choices(constraint, ids) for ids in outputs["ours_alone"])

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
    constraint = Constraint.for_task(task, builder, max_text=2)
    rows, columns = builder.image_grid
    codes = np.random.default_rng(seed).integers(builder.vocabulary.num_image_codes, size=rows * columns)
    scene = sample_scenes(range(1), seed=seed, width=columns, height=rows)[0]
    prompts = [builder.prompt(task, Segments(image=codes, scene=scene, text=text), clamp=True) for text in QUESTIONS]
    first, *others = [Request(prompt=prompt, constraint=constraint) for prompt in prompts]
    engines = [Engine(model)]
    asked: dict[str, list[DecodedSequence]] = {}

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
    alone = [row.ids for row in decode(model, prompts[1:], [constraint] * len(others), max_sequences=1)]
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
    builder = builder_of(args.size, args.vocabulary)
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
    model = LlamaForCausalLM.from_pretrained(kyvo.model.name_or_path, dtype=torch.float32).eval().to(device)
    return model, builder, [builder.prompt(RECOGNITION, Segments(image=row)) for row in codes]


@torch.inference_mode()
def _without_cache(model: LlamaForCausalLM, constraint: Constraint, prompt: list[int]) -> list[int]:
    """Greedy decoding that runs the whole prefix for every id, forced ones included."""
    state, ids = constraint.START, list(prompt)
    while state != constraint.end:
        logits = model(torch.tensor([ids], device=model.device), use_cache=False, logits_to_keep=1).logits[0, -1]
        allowed = torch.from_numpy(constraint.allowed(state)).to(model.device)
        ids.append(int(allowed[logits[allowed].argmax()]))
        state = constraint.step(state, ids[-1])
    return ids[len(prompt) :]


def _generate(
    model: LlamaForCausalLM, constraint: Constraint, builder: SequenceBuilder, prompts: list[list[int]]
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
        logits_processor=LogitsProcessorList([ConstraintLogits(constraint)]),
    )
    rows = done[:, ids.shape[1] :].tolist()
    return [row[: row.index(builder.text.eos_id) + 1] for row in rows]


def _num_choices(constraint: Constraint, ids: Sequence[int]) -> int:
    """How many of the ids the model was asked for."""
    state, count = constraint.START, 0
    for token in ids:
        count += constraint.forced(state) is None
        state = constraint.step(state, token)
    return count
