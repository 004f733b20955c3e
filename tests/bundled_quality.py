"""How good the bundled weights are, on a small held-out set that is made from seeds.

Each figure is of one network and grows with its quality, and all are deterministic. `tests/test_bundled_quality.py`
compares them with the recorded ones.
"""

import json
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from kyvo.api import Kyvo
from kyvo.data.clevr.sampling import render_scenes, sample_scenes
from kyvo.data.dataset import write_set
from kyvo.data.generators import EditSet, QuestionSet
from kyvo.data.language.sentence_sets import LanguageSet
from kyvo.data.object_pictures import ObjectPicture
from kyvo.generation.cache import SequenceCache
from kyvo.generation.engine import additive_mask, visible_ids
from kyvo.generation.hidden_states import hidden_states
from kyvo.metrics.images import psnr, ssim
from kyvo.models.flow import path
from kyvo.models.heads.cube_turns import read_turns
from kyvo.models.heads.refined_scenes import refine_scenes
from kyvo.models.slat.latent import StructuredLatent
from kyvo.models.slat.sparse import SparseTensor, Voxels
from kyvo.pipelines.objects import ObjectGenerator, pack_cells
from kyvo.pipelines.scene_flows import SceneGen
from kyvo.pipelines.scenes import crop_tokens
from kyvo.programs.json_form import from_json
from kyvo.scene.files import scene_from_json
from kyvo.scene.scene import Scene, turn_error
from kyvo.shapes.cells import surface_latent
from kyvo.shapes.flow_args import FlowArgs
from kyvo.shapes.losses import reconstruction_loss
from kyvo.shapes.object_sets import draw_object, object_views
from kyvo.shapes.scene_flow_data import SceneRows
from kyvo.shapes.scene_objective import SceneObjective
from kyvo.shapes.scene_sets import SceneSet
from kyvo.shapes.tokenizer import ShapeTokenizer
from kyvo.shapes.training_meshes import draw_mesh
from kyvo.shapes.vqvae import to_grid
from kyvo.tokenizers.image import fit
from kyvo.tokenizers.scene import OptionalParts
from kyvo.tokenizers.sequence import IGNORE
from kyvo.tokenizers.tasks import TASKS, Segments
from kyvo.training.allowed import AllowedWalk

SEED = 7_300_001  # of no training set and of no set that a figure of the model card is of
SIZE, FINE_SIZE = {"width": 120, "height": 80}, {"width": 240, "height": 160}
PICTURES, RENDERINGS, EDITS, QUESTIONS, TEXTS, MESHES, OBJECTS, OBJECT_SCENES = 12, 6, 16, 48, 16, 2, 8, 6
TIME = 0.8  # of a flow, at which little but the condition says what is to come


@dataclass(frozen=True, kw_only=True)
class Bundled:
    """The bundled models, and what they are measured on."""

    model: Kyvo
    shapes: ShapeTokenizer
    objects: ObjectGenerator

    @classmethod
    def load(cls) -> "Bundled":
        return cls(
            model=Kyvo.from_pretrained("mini", device="cpu"),
            shapes=ShapeTokenizer.from_pretrained("mini"),
            objects=ObjectGenerator.from_pretrained("mini"),
        )

    @cached_property
    def programs(self) -> Kyvo:
        return Kyvo.from_pretrained("mini_programs", device="cpu")

    @cached_property
    def scenegen(self) -> SceneGen:
        return SceneGen.from_pretrained("mini", objects=self.objects)

    @cached_property
    def object_scenes(self) -> SceneRows:
        with tempfile.TemporaryDirectory() as folder:
            write_set(Path(folder) / "scenes", SceneSet(count=OBJECT_SCENES, seed=SEED, max_objects=4))
            return SceneRows.open([Path(folder) / "scenes"], resolution=32)

    @cached_property
    def scenes(self) -> list[Scene]:
        return sample_scenes(range(PICTURES), seed=SEED, **SIZE)

    @cached_property
    def pictures(self) -> list[np.ndarray]:
        return list(render_scenes(self.scenes, **SIZE))


def recognition(bundled: Bundled) -> float:
    """What the language model alone thinks of the true scenes of pictures, nats a label."""
    codes = bundled.model.encode_images(bundled.pictures)
    pairs = zip(codes, bundled.scenes, strict=True)
    return _likelihood(
        bundled.model, "recognition", [(Segments(image=code), Segments(scene=scene)) for code, scene in pairs]
    )


def rendering(bundled: Bundled) -> float:
    """What the language model alone thinks of the true pictures' codes, nats a label."""
    codes = bundled.model.encode_images(bundled.pictures)
    pairs = zip(bundled.scenes, codes, strict=True)
    return _likelihood(
        bundled.model, "rendering", [(Segments(scene=scene), Segments(image=code)) for scene, code in pairs]
    )


def editing(bundled: Bundled) -> float:
    """What the language model alone thinks of the true scenes after edits, nats a label."""
    rows = EditSet(count=EDITS, seed=SEED, pictures=False, **SIZE).rows(range(EDITS))
    pairs = [
        (
            Segments(scene=_scene(row["scene"]), text=row["instruction"]),
            Segments(scene=_scene(row["target_scene"])),
        )
        for row in rows
    ]
    return _likelihood(bundled.model, "scene_editing", pairs)


def answering(bundled: Bundled) -> float:
    """What the language model alone thinks of the true answers, nats a label."""
    rows = QuestionSet(count=QUESTIONS // 4, seed=SEED, questions=4, pictures=False, **SIZE)
    pairs = [
        (Segments(scene=_scene(row["scene"]), text=question["question"]), Segments(text=question["answer"]))
        for row in rows.rows(range(rows.count))
        for question in row["questions"]
    ]
    return _likelihood(bundled.model, "scene_question_answering", pairs)


def parsing(bundled: Bundled) -> float:
    """What the model that writes programs thinks of true ones, among the ids that may come; nats a label."""
    rows = LanguageSet(count=TEXTS, seed=SEED, phrases=1.0).rows(range(TEXTS))
    programs = [(row["text"], from_json(json.loads(row["asked_program"]))) for row in rows]
    pairs = [(Segments(text=text, dialogue=()), Segments(program=program)) for text, program in programs]
    return _likelihood(bundled.programs, "parsing", pairs, AllowedWalk(bundled.programs.processor.builder))


def refinement(bundled: Bundled) -> float:
    """How near the refiner puts objects that are given 0.1 units beside their places, units; 0 is best."""
    refiner, schema = bundled.model.processor.refiner, bundled.model.processor.schema
    assert refiner is not None
    beside = [
        replace(scene, objects=tuple(item.with_values(location=_beside(item.location)) for item in scene.objects))
        for scene in bundled.scenes
    ]
    cameras = [scene.camera for scene in bundled.scenes]
    found = refine_scenes(refiner, beside, bundled.pictures, schema, cameras=cameras)
    apart = [
        np.subtract(ours.location, true.location)
        for scene, truth in zip(found, bundled.scenes, strict=True)
        for ours, true in zip(scene.objects, truth.objects, strict=True)
    ]
    return -float(np.linalg.norm(apart, axis=1).mean())


def cube_turns(bundled: Bundled) -> float:
    """How far the turns of cubes are off, a mean, degrees; 0 is best."""
    network = bundled.model.processor.cube_turns
    assert network is not None
    pictures = render_scenes(bundled.scenes, **FINE_SIZE)
    found = read_turns(network, bundled.scenes, list(pictures))
    pairs = (
        pair
        for scene, true in zip(found, bundled.scenes, strict=True)
        for pair in zip(scene.objects, true.objects, strict=True)
    )
    apart = [error for ours, true in pairs if (error := turn_error(ours, true)) is not None]
    return -math.degrees(float(np.mean(apart)))


def image_tokenizer(bundled: Bundled) -> float:
    """PSNR of pictures through codes and back, dB."""
    image = bundled.model.processor.image
    again = image.decode(image.encode(np.stack(bundled.pictures)))
    return float(np.mean([psnr(_small(ours), true) for ours, true in zip(again, bundled.pictures, strict=True)]))


def rendered(bundled: Bundled) -> float:
    """SSIM of renderings as they are drawn first, with known cameras: language model and image decoder together."""
    drawn = bundled.model.render(bundled.scenes[:RENDERINGS], closed_loop=False)
    return float(np.mean([ssim(_small(ours), true) for ours, true in zip(drawn, bundled.pictures, strict=False)]))


def shape_round_trip(bundled: Bundled) -> float:
    """What meshes lose on the way through tokens: the error in the features of their surfaces; 0 is best."""
    config, network = bundled.shapes.config, bundled.shapes.model
    meshes = [draw_mesh(seed=SEED, index=index) for index in range(MESHES)]
    grid = to_grid([surface_latent(mesh, resolution=config.resolution) for mesh in meshes], config)
    with torch.inference_mode():
        again = network.decode_codes(network.encode_codes(grid.features))
        return -float(reconstruction_loss(again, grid, occupancy=config.occupancy, occupancy_weight=1.0))


def object_structure(bundled: Bundled) -> float:
    """How well the structure flow tells objects in noise from their pictures: minus the squared error of latents."""
    generator, errors = bundled.objects, []
    assert generator.structure_encoder is not None
    for latent, tokens in _drawn_objects(bundled):
        cells = torch.zeros(1, 1, *[latent.resolution] * 3)
        cells[0, 0][tuple(latent.coords.T)] = 1
        with torch.inference_mode():
            data, _ = generator.structure_encoder(cells)
            errors.append(_denoising_error(generator.structure_flow, data, tokens))
    return -float(np.mean(errors))


def object_details(bundled: Bundled) -> float:
    """As `object_structure`, of the SLAT flow and the features of cells."""
    generator, errors = bundled.objects, []
    for latent, tokens in _drawn_objects(bundled):
        voxels = pack_cells([latent.coords], resolution=latent.resolution)

        def flow(x: Tensor, t: Tensor, context: Tensor, voxels: Voxels = voxels) -> Tensor:
            return generator.slat_flow(SparseTensor(voxels=voxels, feats=x), t, context)

        with torch.inference_mode():
            errors.append(_denoising_error(flow, generator.from_features(latent.feats), tokens))
    return -float(np.mean(errors))


def scenegen(bundled: Bundled) -> float:
    """How well SceneGen tells assets and poses in noise from pictures of scenes: minus the loss of its training."""
    return -_scene_loss(bundled, bundled.scenegen)


def turns(bundled: Bundled) -> float:
    """What the turn head thinks of the turns of objects in pictures of scenes: minus the loss of its training."""
    head = bundled.objects.turn_head
    assert head is not None
    rows = [bundled.object_scenes[index] for index in range(OBJECT_SCENES)]
    tokens = torch.cat([crop_tokens(bundled.objects, row.picture).tokens for row in rows])
    with torch.inference_mode():
        return -float(head.loss(tokens, torch.tensor([turn for row in rows for turn in row.turns])))


Figure = Callable[[Bundled], float]
FIGURES: dict[Figure, Callable[[Bundled], nn.Module | None]] = {  # figure -> the network that it is of
    recognition: lambda bundled: bundled.model.model,
    rendering: lambda bundled: bundled.model.model,
    editing: lambda bundled: bundled.model.model,
    answering: lambda bundled: bundled.model.model,
    parsing: lambda bundled: bundled.programs.model,
    rendered: lambda bundled: bundled.model.model,
    refinement: lambda bundled: bundled.model.processor.refiner,
    cube_turns: lambda bundled: bundled.model.processor.cube_turns,
    image_tokenizer: lambda bundled: bundled.model.processor.image.model,
    shape_round_trip: lambda bundled: bundled.shapes.model,
    object_structure: lambda bundled: bundled.objects.structure_flow,
    object_details: lambda bundled: bundled.objects.slat_flow,
    scenegen: lambda bundled: bundled.scenegen.flow,
    turns: lambda bundled: bundled.objects.turn_head,
}


@torch.no_grad()
def add_noise(network: nn.Module, share: float) -> None:
    """Gaussian noise on each weight: a share of the root mean square of its tensor."""
    chance = torch.Generator().manual_seed(0)
    for weight in network.parameters():
        scale = weight.float().square().mean().sqrt()
        weight += (share * scale * torch.randn(weight.shape, generator=chance)).to(weight.dtype)


def _small(picture: np.ndarray) -> np.ndarray:
    """At the size of the true pictures."""
    return fit(picture, **SIZE)


def _scene(text: str) -> Scene:
    return scene_from_json(json.loads(text), "held-out set")


def _beside(location: tuple[float, float, float] | None) -> tuple[float, float, float]:
    assert location is not None
    x, y, z = location
    return x + 0.1, y, z


@torch.inference_mode()
def _likelihood(
    kyvo: Kyvo, task: str, pairs: Sequence[tuple[Segments, Segments]], walk: AllowedWalk | None = None
) -> float:
    """Mean log probability of the true labels, each after the true ones before it; with a walk among its ids alone."""
    language_model = kyvo.language_model
    model, builder = language_model.model, kyvo.processor.builder
    scores = []
    for given, wanted in pairs:
        sequence = builder.build(TASKS[task], given, wanted, clamp=True)
        ids = torch.from_numpy(sequence.ids)[None]
        embedded = model.get_input_embeddings()(ids)
        if language_model.position_table is not None:
            embedded = language_model.position_table.add(embedded, [sequence.ids.tolist()], seen=[0])
        positions = torch.arange(ids.shape[1])[None]
        visible = visible_ids(positions, [sequence.spans], length=ids.shape[1])
        cache = SequenceCache(model.config, max_sequences=1, dtype=model.dtype, device=model.device)
        cache.reserve(1, ids.shape[1])
        cache.aim(0, positions, torch.ones_like(positions, dtype=torch.bool))
        mask = additive_mask(visible, embedded.dtype)
        states = hidden_states(model, embedded, mask=mask, positions=positions, cache=cache)
        labels = torch.from_numpy(sequence.labels)
        places = (labels != IGNORE).nonzero()[:, 0]
        logits = model.lm_head(states[0, places - 1]).float()
        if walk is not None:
            allowed = walk(TASKS[task], sequence, OptionalParts()).allowed
            chosen = [allowed[place] is not None for place in places.tolist()]
            logits, places = logits[chosen], places[chosen]
            for row, place in zip(logits, places.tolist(), strict=True):
                row[np.setdiff1d(np.arange(len(row)), allowed[place].ids)] = -torch.inf
        logs = logits.log_softmax(-1)
        scores.append(logs[torch.arange(len(places)), labels[places]])
    return float(torch.cat(scores).mean())


def _drawn_objects(bundled: Bundled) -> Iterator[tuple[StructuredLatent, Tensor]]:
    """Objects of the procedural library, and tokens of a picture of each."""
    for index in range(OBJECTS):
        rng = np.random.default_rng([SEED, index])
        mesh, _ = draw_object(rng, index=index)
        (picture,) = object_views(mesh, rng, count=1, size=64)
        latent = surface_latent(mesh, resolution=bundled.objects.slat_flow.config.resolution)
        yield latent, bundled.objects.condition(image=ObjectPicture(rgba=picture)).tokens


def _denoising_error(flow: Callable[..., Tensor], data: Tensor, tokens: Tensor) -> float:
    """Squared error of the data that the flow sees in a noisy state."""
    noise = torch.randn(data.shape, generator=torch.Generator().manual_seed(0))
    state = path.add_noise(data, noise, TIME)
    found = state - TIME * flow(state, torch.tensor([TIME]), tokens)
    return float((found - data).square().mean())


def _scene_loss(bundled: Bundled, method: SceneGen) -> float:
    objects = bundled.objects
    assert objects.structure_encoder is not None
    objective = SceneObjective(
        rows=bundled.object_scenes,
        args=FlowArgs(steps=1, condition_dropout=0.0, pose_weight=20.0, time_mean=1.5, time_std=0.2),
        structure_encoder=objects.structure_encoder,
        encoders={"picture": objects.encoders["picture"], "scene": method.encoder},
        device=torch.device("cpu"),
    )
    with torch.inference_mode():
        loss, _, _ = objective.loss(
            method.flow,
            range(OBJECT_SCENES),
            rng=np.random.default_rng(0),
            generator=torch.Generator().manual_seed(0),
            epoch=0,
        )
    return float(loss)
