"""A run's pictures shared out by Ray Data over the machines of a cluster, a model in each worker.

Workers read the pictures, so all machines see their folders under one name; the machine that began the run writes.
"""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from kyvo.batch import RecognizedItem, recognize_batches
from kyvo.batch.inputs import Item
from kyvo.clusters import cluster
from kyvo.scene.files import scene_from_json, scene_to_json
from kyvo.scene.scene import Camera


def recognize_by_ray(
    items: Sequence[Item],
    *,
    model: str,
    device: str = "auto",
    batch_size: int = 32,
    camera: Camera | None = None,
    workers: int = 1,
) -> Iterator[list[RecognizedItem]]:
    """As `kyvo.batch.recognize_batches`, batches in the order in which they are done.

    The cluster is the one that `RAY_ADDRESS` or `ray start` names, else a local one.

    Args:
        model: a bundled model's name, or a model folder that every machine sees.
        workers: models at a time, each on one core, and on one GPU where `device` is "cuda".
    """
    if not items:
        return
    with cluster() as ray:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False  # where the environment was read before
        context.execution_options.verbose_progress = False
        rows = ray.data.from_items(
            [{"index": index, "path": str(item.path)} for index, item in enumerate(items)],
            override_num_blocks=-(-len(items) // batch_size),
        )
        folder = Path(model)
        done = rows.map_batches(
            _Worker,
            fn_constructor_kwargs={
                "model": str(folder.absolute()) if folder.is_dir() else model,  # a worker has its own working folder
                "device": device,
                "batch_size": batch_size,
                "camera": camera,
            },
            batch_size=None,  # a block, which is a batch
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=1,
            num_gpus=1 if device == "cuda" else 0,
        )
        for batch in done.iter_batches(batch_size=None, batch_format="numpy"):
            pairs = zip(batch["index"].tolist(), batch["found"].tolist(), strict=True)
            yield [_from_text(text, items[index]) for index, text in pairs]


class _Worker:
    """A model, once loaded, for block after block."""

    def __init__(self, *, model: str, device: str, batch_size: int, camera: Camera | None) -> None:
        from kyvo.api import Kyvo

        loaded = Kyvo.from_pretrained(model, device=device)
        self.recognize = partial(recognize_batches, loaded, batch_size=batch_size, camera=camera)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        items = [Item(path=Path(path), key=str(index)) for index, path in enumerate(batch["path"].tolist())]
        found = [one for part in self.recognize(items) for one in part]
        return {"index": batch["index"], "found": np.array([_to_text(one) for one in found], dtype=object)}


def _to_text(found: RecognizedItem) -> str:
    data = {name: value for name, value in vars(found).items() if name not in ("item", "scene")}
    return json.dumps(data | {"scene": None if found.scene is None else scene_to_json(found.scene)})


def _from_text(text: str, item: Item) -> RecognizedItem:
    data = json.loads(text)
    scene, shape = data.pop("scene"), data.pop("picture_size")
    return RecognizedItem(
        item=item,
        scene=None if scene is None else scene_from_json(scene, str(item.path)),
        picture_size=None if shape is None else tuple(shape),
        **data,
    )
