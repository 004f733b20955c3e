"""python recipes/flow.py --config configs/flow/structure_mini.yaml --data data/objects --out runs/structure_flow

Trains a flow model by conditional flow matching: TRELLIS's structure flow or its SLAT flow, of any size, under
conditions of pictures, texts or both, on sets of `kyvo data objects` (`--data`); or a flow over the objects of a scene,
SceneGen's or I-Scene's, on sets of `kyvo data scenes`. Encoders of conditions are given by
their path, or trained here. `--set train.steps=100` changes a setting, `--resume` goes on from OUT's newest checkpoint,
and `--init NETWORK` starts from the weights of a network of the same size, and of the encoders beside it that are
trained here, where these have the same sizes; a flow over scenes, from an object's flow.

Several processes, each with a share of every weight (FSDP2): torchrun --nproc_per_node 2 recipes/flow.py ...
OUT/step_<n>/model is the network with its encoders, averaged over the steps. One JSON line a report goes to stdout and
to OUT/log.jsonl. OMP_NUM_THREADS sets the CPU threads.
"""

import argparse
import math
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard

from kyvo.data.configs import from_section
from kyvo.devices import choose_device
from kyvo.errors import CheckpointError, ConfigError
from kyvo.files import write_plain_json
from kyvo.models.flow.block import FlowModel
from kyvo.models.flow.load import ConditionKind, load_condition
from kyvo.models.flow.path import add_noise, velocity_target
from kyvo.models.flow.slat_flow import SLatFlowModel
from kyvo.models.flow.small_encoders import load_encoder
from kyvo.models.slat.load import build_network, load_network, save_network
from kyvo.models.slat.sparse import SparseTensor, Voxels
from kyvo.models.slat.structure import SparseStructureEncoder
from kyvo.models.vggt import VggtAggregator
from kyvo.shapes.flow_args import FlowArgs
from kyvo.shapes.flow_data import ObjectRows, PackPosition, Packs
from kyvo.shapes.scene_flow_data import SceneRows
from kyvo.shapes.scene_objective import SCENE_FLOWS, SceneObjective
from kyvo.tokenizers.training import log
from kyvo.training.checkpoint import load_checkpoint, save_checkpoint
from kyvo.training.distributed import Ranks, clip_gradients, gathered, placed, placed_optimizer_state
from kyvo.training.head_trainer import sections_of
from kyvo.training.trained_with import TRAINED_WITH, weights_hash

KINDS: tuple[ConditionKind, ...] = get_args(ConditionKind)
SCENE_KINDS = ("picture", "scene", "geometry", "text")  # of a flow over scenes; the first three go together
SCENE_LOADERS: dict[str, Any] = {"scene": load_network, "geometry": VggtAggregator.from_folder}
SECTIONS = ("model", "conditions", "structure_encoder", "train")


def main(argv: list[str] | None = None) -> Path:
    """Trains and returns the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--init", type=Path, metavar="NETWORK", help="a network of the same size, without .json")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--set", nargs="*", default=[], metavar="SETTING", help="as train.batch_size=64")
    options = parser.parse_args(argv)

    config = sections_of(options, known=SECTIONS)
    args = from_section(FlowArgs, config["train"], prefix="train.")
    ranks = Ranks.join(choose_device(args.device))
    try:
        trainer = Trainer(config, args, options.data, out=options.out, ranks=ranks)
        trainer.start(init=options.init, resume=options.resume)
        trainer.run()
    finally:
        ranks.leave()
    return options.out


@dataclass(frozen=True, kw_only=True, eq=False)
class State:
    """What flows: a dense grid of each object, or the features of packed cells."""

    values: Tensor
    voxels: Voxels | None  # None: dense

    def spread(self, per_object: Tensor) -> Tensor:
        """A number of each object, broadcast over its values."""
        if self.voxels is None:
            return per_object[:, None, None, None, None]
        return per_object[self.voxels.coords[:, 0], None]

    def velocity(self, model: nn.Module, values: Tensor, t: Tensor, context: Tensor) -> Tensor:
        x = values if self.voxels is None else SparseTensor(voxels=self.voxels, feats=values)
        return model(x, t, context)


class Trainer:
    """Network, encoders, averaged weights and place in the data."""

    def __init__(self, config: Mapping[str, Any], args: FlowArgs, data: list[Path], *, out: Path, ranks: Ranks) -> None:
        self.args, self.out, self.ranks = args, out, ranks
        torch.manual_seed(args.seed)
        self.model = self._build_model(config["model"])
        self.is_sparse = isinstance(self.model, SLatFlowModel)
        self.is_scene = isinstance(self.model, SCENE_FLOWS)
        self.trained_with: dict[str, str] = {}
        self.structure_encoder = self._structure_encoder(config)
        self.objects: Any = self._open(data)
        self.frozen, self.trained = self._conditions(config.get("conditions") or {})
        self.kinds: list[Any] = [kind for kind in KINDS if kind in self.frozen or kind in self.trained]
        if not self.kinds and not self.is_scene:
            raise ConfigError(f"conditions names none of {', '.join(KINDS)}; a flow needs at least one.")
        self.mean, self.std = self.objects.statistics() if self.is_sparse else ([0.0], [1.0])
        self.scenes = self._scenes() if self.is_scene else None
        self.parts: dict[str, list[float]] = {}  # of the loss of scenes, since the last report
        if self.scenes is not None:
            sizes = self.scenes.sizes(self.model)
        else:
            sizes = self.objects.sizes if self.is_sparse else [1] * len(self.objects)
        budget = args.max_voxels if self.is_sparse else args.batch_size
        self.position = PackPosition(packs=Packs(sizes=sizes, budget=budget, seed=args.seed))
        self.step = 0

    def _build_model(self, section: Mapping[str, Any]) -> FlowModel:
        model = build_network(section)
        if not isinstance(model, FlowModel):
            raise ConfigError(f"model.name is {section.get('name')!r}; a flow model is trained here.")
        model.initialize()
        model.gradient_checkpointing = self.args.gradient_checkpointing
        return model.float()

    def _open(self, data: list[Path]) -> ObjectRows | SceneRows:
        if not self.is_scene:
            return ObjectRows.open(data, resolution=self._resolution(), mirrored=self.args.mirror)
        if self.args.mirror:
            raise ConfigError("train.mirror is set, and scenes are not mirrored here; leave it out.")
        return SceneRows.open(data, resolution=self._resolution())

    def _structure_encoder(self, config: Mapping[str, Any]) -> SparseStructureEncoder | None:
        """Makes occupancy the latents that a structure flow is over."""
        path = config.get("structure_encoder")
        if self.is_sparse:
            return None
        if path is None:
            raise ConfigError(
                "structure_encoder is missing; a structure flow needs <folder>/ss_enc_..., without .json."
            )
        encoder = load_network(path, device=self.ranks.device)
        if not isinstance(encoder, SparseStructureEncoder):
            raise ConfigError(f"structure_encoder: {path} is a {type(encoder).__name__}.")
        self.trained_with["structure_encoder"] = weights_hash(path)
        return encoder

    def _scenes(self) -> SceneObjective:
        assert self.structure_encoder is not None
        encoders = {**self.frozen, **self.trained}
        return SceneObjective(
            rows=self.objects,
            args=self.args,
            structure_encoder=self.structure_encoder,
            encoders=encoders,
            device=self.ranks.device,
        )

    def _resolution(self) -> int:
        """Of the objects' grid."""
        if self.structure_encoder is None:
            return self.model.config.resolution
        return self.model.config.resolution * self.structure_encoder.config.shrinkage

    def _conditions(self, section: Mapping[str, Any]) -> tuple[dict[str, Any], nn.ModuleDict]:
        """Encoders by kind: those that stay as they are, and those that are trained with the flow."""
        frozen: dict[str, Any] = {}
        trained = nn.ModuleDict()
        known: tuple[Any, ...] = SCENE_KINDS if self.is_scene else KINDS
        for kind in section:
            if kind not in known:
                raise ConfigError(f"conditions.{kind} is not a condition; known are {', '.join(known)}.")
        for kind in known:
            about = section.get(kind)
            if about is None:
                continue
            if isinstance(about, str):
                encoder = SCENE_LOADERS.get(kind, partial(load_condition, kind))(about)
                frozen[kind] = encoder.to(self.ranks.device)
                self.trained_with[kind] = weights_hash(about)
                continue
            given = dict(about.get("args") or {})
            if kind == "text" and "words" not in given:
                given["words"] = self.objects.words
            trained[kind] = build_network({"name": about.get("name"), "args": given})
        return frozen, trained

    def start(self, *, init: Path | None, resume: bool) -> None:
        """Weights from nothing, from a network, or from the newest checkpoint; then the shares of the ranks."""
        state = load_checkpoint(self.out) if resume else None
        if state is not None:
            self._load_weights(state)
        elif init is not None:
            self._load_network(init)
        if self.args.only_new:
            for name, parameter in self.model.named_parameters():
                parameter.requires_grad_(name.startswith(self._new_parts))
        self.model.to(self.ranks.device).train()
        self.trained.to(self.ranks.device).train()
        if self.ranks.count > 1:
            for block in self.model.blocks:
                fully_shard(block)
            for whole in (self.model, *self.trained.values()):
                fully_shard(whole)
        self.parameters = [parameter for _, parameter in self._trained_parameters()]
        self.average = [parameter.detach().clone() for parameter in self.parameters]
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=self.args.learning_rate, weight_decay=self.args.weight_decay
        )
        if state is not None:
            self._load_progress(state)

    @property
    def _new_parts(self) -> tuple[str, ...]:
        """Beginnings of names that the flow of single objects lacks."""
        parts = getattr(self.model, "new_parts", ())
        if self.args.only_new and not parts:
            raise ConfigError("train.only_new is set, and this network has no part that an object's flow lacks.")
        return parts

    def _trained_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """By name, those of the flow as `flow.<name>`."""
        named = [(f"flow.{name}", value) for name, value in self.model.named_parameters() if value.requires_grad]
        return [*named, *self.trained.named_parameters()]

    def _load_network(self, path: Path) -> None:
        state = load_network(path, dtype=torch.float32).state_dict()
        new = {name: value for name, value in self.model.state_dict().items() if name.startswith(self._new_parts)}
        if self._new_parts and not new.keys() & state.keys():
            print(
                f"--init: {path} lacks {len(new)} tensors, which start anew: {', '.join(self._new_parts)}",
                file=sys.stderr,
            )
            state = state | new
        try:
            self.model.load_state_dict(state)
        except RuntimeError as error:
            raise CheckpointError(f"--init: {path} has other sizes than the model section: {error}") from error
        for kind, encoder in self.trained.items():
            beside = path.parent / f"{kind}_encoder"
            if beside.with_name(f"{beside.name}.json").is_file():
                fits = load_encoder(encoder, load_network(beside, dtype=torch.float32))
                how = "goes on from the one" if fits else "starts anew, having other sizes than the one"
                print(f"--init: the {kind} encoder {how} beside the network", file=sys.stderr)

    def _load_weights(self, state: Mapping[str, Any]) -> None:
        try:
            self.model.load_state_dict(state["model"])
            self.trained.load_state_dict(state["encoders"])
        except RuntimeError as error:
            raise CheckpointError(f"{self.out} was trained with another model or other conditions: {error}") from error

    def _load_progress(self, state: Mapping[str, Any]) -> None:
        """The optimizer's state and the averages, each in its place."""
        self.optimizer.load_state_dict(placed_optimizer_state(state["optimizer"], self.optimizer))
        with torch.no_grad():
            for average, whole in zip(self.average, state["average"], strict=True):
                average.copy_(placed(whole, average))
        self.step, self.position.epoch, self.position.index = state["step"], state["epoch"], state["index"]

    def run(self) -> None:
        """Steps to the end."""
        args = self.args
        self.out.mkdir(parents=True, exist_ok=True)
        losses, tokens, began = [], 0, time.monotonic()
        while self.step < args.steps:
            loss, norm, num_tokens = self.train_step()
            losses.append(loss)
            tokens += num_tokens
            if self.step % args.report_every == 0 or self.step == args.steps:
                seconds = time.monotonic() - began
                mean = self.ranks.sum(torch.tensor(float(np.mean(losses)))).item() / self.ranks.count
                if self.ranks.is_first:
                    left = seconds / len(losses) * (args.steps - self.step)
                    line = {"step": self.step, "loss": mean, "gradient": norm, "tokens_per_second": tokens / seconds}
                    parts = {name: float(np.mean(values)) for name, values in self.parts.items()}
                    log(self.out, {**line, **parts, "seconds_left": round(left, 1)})
                losses, tokens, began, self.parts = [], 0, time.monotonic(), {}
            if self.step % args.checkpoint_every == 0 or self.step == args.steps:
                self.save()

    def train_step(self) -> tuple[float, float, int]:
        """Mean loss of this rank, norm of the gradient, and cells or tokens seen."""
        args = self.args
        rate = args.learning_rate * min(1.0, (self.step + 1) / max(1, args.warmup))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        packs = self.position.take(self.ranks.count * args.accumulate)
        total, num_tokens = 0.0, 0
        for number, rows in enumerate(packs[self.ranks.rank :: self.ranks.count]):
            loss, seen = self.loss(rows, number)
            (loss / args.accumulate).backward()
            total, num_tokens = total + loss.item() / args.accumulate, num_tokens + seen
        norm = float(clip_gradients(self.parameters, args.clip_grad_norm))
        if math.isfinite(norm):  # one bad batch is left out
            self.optimizer.step()
        self.optimizer.zero_grad()
        self._update_average()
        self.step += 1
        return total, norm, num_tokens

    def loss(self, rows: list[int], number: int) -> tuple[Tensor, int]:
        """Of one batch, the squared error of the velocity at random times (conditional flow matching)."""
        device = self.ranks.device
        # All ranks draw the kind together: an encoder that is shared out runs on all of them or on none.
        kind = self.kinds[int(np.random.default_rng([self.args.seed, self.step, number]).integers(len(self.kinds)))]
        rng = np.random.default_rng([self.args.seed, self.step, number, self.ranks.rank + 1])
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        if self.scenes is not None:
            epoch = self.position.epoch
            loss, parts, seen = self.scenes.loss(self.model, rows, rng=rng, generator=generator, epoch=epoch, kind=kind)
            for name, value in parts.items():
                self.parts.setdefault(name, []).append(value)
            return loss, seen
        with torch.autocast(device.type, torch.bfloat16, enabled=self.args.precision == "bf16"):
            state = self.state(rows)
            noise = torch.randn(state.values.shape, generator=generator).to(device)
            normal = torch.randn(len(rows), generator=generator)
            t = (self.args.time_mean + self.args.time_std * normal).sigmoid().to(device)
            dropped = (torch.rand(len(rows), generator=generator) < self.args.condition_dropout).to(device)
            context = self.context(kind, rows, rng, dropped)
            noisy = add_noise(state.values, noise, state.spread(t))
            found = state.velocity(self.model, noisy, t, context)
        loss = F.mse_loss(found.float(), velocity_target(state.values, noise))
        return loss, state.values.numel() // self.model.config.in_channels

    def state(self, rows: list[int]) -> State:
        """The objects as the flow ends at them."""
        device = self.ranks.device
        if self.structure_encoder is not None:
            with torch.no_grad():
                mean, _ = self.structure_encoder(self.objects.occupancy(rows).to(device))
            return State(values=mean.float(), voxels=None)
        x = self.objects.sparse(rows)
        voxels = Voxels(coords=x.voxels.coords.to(device), resolution=x.voxels.resolution, batch_size=len(rows))
        feats = (x.feats - torch.tensor(self.mean)) / torch.tensor(self.std)
        return State(values=feats.to(device), voxels=voxels)

    def context(self, kind: ConditionKind, rows: list[int], rng: np.random.Generator, dropped: Tensor) -> Tensor:
        """Tokens of each object's condition, or the negative where it is dropped."""
        encoder: Any = self.frozen.get(kind) or self.trained[kind]
        if kind == "picture":
            given: Any = self.objects.pictures(rows, rng, size=encoder.picture_size).to(self.ranks.device)
        else:
            given = self.objects.captions(rows, rng)
        tokens = encoder(given)
        return torch.where(dropped[:, None, None], encoder.negative(tokens), tokens)

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.args.ema_decay, (1 + self.step) / (10 + self.step))
        for average, parameter in zip(self.average, self.parameters, strict=True):
            average.mul_(decay).add_(parameter.detach(), alpha=1 - decay)

    def save(self) -> None:
        """Everything that a resumed run needs, and the averaged networks. The first rank writes what all gather."""
        state = {
            "model": self.model.state_dict(),
            "encoders": self.trained.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "epoch": self.position.epoch,
            "index": self.position.index,
        }
        state = gathered(state)
        if self.ranks.is_first:
            save_checkpoint(
                self.out,
                step=self.step,
                state=state,
                write_model=lambda folder: self._write_model(folder, state),
                keep_last=self.args.keep_last,
            )
        self.ranks.wait()

    def _write_model(self, folder: Path, state: Mapping[str, Any]) -> None:
        """`flow`, and `picture_encoder` and `text_encoder` where they were trained here; the features' scale.

        `trained_with.json` has the hashes of the networks that stayed as they are.
        """
        folder.mkdir()
        names = [name for name, _ in self._trained_parameters()]
        averages = dict(zip(names, state["average"], strict=True))
        save_network(self.model, folder / "flow", state=state["model"] | part_of(averages, "flow."))
        for kind, encoder in self.trained.items():
            own = part_of(state["encoders"], f"{kind}.") | part_of(averages, f"{kind}.")
            save_network(encoder, folder / f"{kind}_encoder", state=own)
        write_plain_json(folder / TRAINED_WITH, self.trained_with, indent=None)
        if self.is_sparse:
            scale = {"mean": self.mean, "std": self.std}
            write_plain_json(folder / "slat_normalization.json", scale, indent=None)


def part_of(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin so, named without it."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


if __name__ == "__main__":
    print(main(), file=sys.stderr)
