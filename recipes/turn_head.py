"""python recipes/turn_head.py --config configs/flow/turn_head_mini.yaml --data data/scenes --out runs/turn_head

Trains the head that tells how objects are turned (`kyvo.models.heads.turn_head`), on the crops of scenes and the turns
of their objects in axes that follow the camera. `--data` are sets of `kyvo data scenes`; `--objects` is the generator
whose picture encoder reads the crops, and stays as it is.

`--minutes M` bounds the time instead of the steps, `--resume` goes on from OUT/training.pt, `--init GENERATOR` begins
with the head of a generator. OUT/turn_head is the network that `recipes/join_generator.py --turn-head OUT` takes. One
JSON line a report goes to stdout and OUT/log.jsonl.
"""

import math
import sys
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from kyvo.data.configs import from_section
from kyvo.devices import autocast, choose_device
from kyvo.errors import ConfigError
from kyvo.models.heads.turn_head import TurnHead, TurnHeadConfig
from kyvo.models.slat.load import save_network
from kyvo.pipelines.objects import ObjectGenerator
from kyvo.pipelines.scenes import crop_tokens
from kyvo.shapes.scene_flow_data import SceneRows
from kyvo.training.head_trainer import HeadTrainer, HeadTrainerArgs, options_of, sections_of

RESOLUTION = 32  # of the sets


def main(argv: list[str] | None = None) -> Path:
    """Trains and returns the folder."""
    parser = options_of(__doc__)
    parser.add_argument("--objects", default="mini", help="a generator of objects: a folder, or a bundled one's name")
    options = parser.parse_args(argv)
    sections = sections_of(options, known=("head", "train"))
    args = from_section(HeadTrainerArgs, sections["train"], prefix="train.")
    args = replace(args, device=choose_device(args.device))
    tokens, turns = read_objects(
        SceneRows.open(options.data, resolution=RESOLUTION), ObjectGenerator.from_pretrained(options.objects)
    )
    if len(tokens) <= args.held_out:
        raise ConfigError(f"--data has {len(tokens)} objects and train.held_out is {args.held_out}.")
    torch.manual_seed(args.seed)
    head = TurnHead(from_section(TurnHeadConfig, sections["head"], prefix="head."))
    trainer = Trainer(head.to(args.device), args, tokens, turns, minutes=options.minutes)
    trainer.run_from(options, turn_head_of)
    save_network(trainer.model.cpu(), options.out / "turn_head")
    return options.out


def turn_head_of(generator: Path) -> TurnHead | None:
    """A generator's, in float32, if it has one."""
    head = ObjectGenerator.from_pretrained(generator).turn_head
    return head if head is None else head.float()


@torch.no_grad()
def read_objects(
    rows: SceneRows, generator: ObjectGenerator
) -> tuple[Float[Tensor, "objects places channels"], Float[Tensor, " objects"]]:
    """The tokens of each object's crop, in 16 bits, and its turn, rad; the objects of a scene stand side by side."""
    tokens, turns = [], []
    for index in range(len(rows)):
        row = rows[index]
        tokens.append(crop_tokens(generator, row.picture).tokens.half())
        turns += row.turns
    return torch.cat(tokens), torch.tensor(turns)


class Trainer(HeadTrainer[HeadTrainerArgs]):
    """A head on its way. The last objects are held out: whole scenes, but for one."""

    def __init__(
        self, head: TurnHead, args: HeadTrainerArgs, tokens: Tensor, turns: Tensor, *, minutes: float | None = None
    ) -> None:
        super().__init__(head, args, minutes=minutes)
        self.tokens, self.turns = tokens, turns

    def losses(self) -> dict[str, Tensor]:
        count = len(self.tokens) - self.args.held_out
        chosen = torch.randint(count, (self.args.batch_size,), generator=self.generator)
        self.model.train()
        return {"loss": self._loss(chosen)}

    def measured(self) -> dict[str, Tensor]:
        """The loss, and the share of objects whose likeliest turn is within 30 degrees of theirs."""
        chosen = torch.arange(len(self.tokens) - self.args.held_out, len(self.tokens))
        self.model.eval()
        found = self.model.turns[self.model(self.tokens[chosen].to(self.args.device)).argmax(1).cpu()]
        near = torch.cos(found - self.turns[chosen]) > math.cos(math.radians(30))
        return {"loss": self._loss(chosen), "within_30_degrees": near.float().mean()}

    def _loss(self, chosen: Tensor) -> Tensor:
        device = self.args.device
        with autocast(device):
            return self.model.loss(self.tokens[chosen].to(device), self.turns[chosen].to(device))


if __name__ == "__main__":
    print(main(), file=sys.stderr)
