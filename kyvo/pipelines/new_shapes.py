"""Shapes of new objects for edits: a text -> generated object -> codes of a model's shape tokenizer."""

import threading

import numpy as np

from kyvo.pipelines.object_source import ObjectSource
from kyvo.pipelines.run import Run
from kyvo.programs.new_shapes import NewShape, ShapeMaker
from kyvo.shapes.tokenizer import ShapeTokenizer


class NewShapes:
    """Makes one shape at a time, whoever asks: the same text gives the same shape."""

    def __init__(self, source: ObjectSource, tokenizer: ShapeTokenizer) -> None:
        self.source = source
        self.tokenizer = tokenizer
        self._lock = threading.Lock()

    def maker(self, run: Run) -> ShapeMaker:
        """For one request, which it ends with.

        The maker raises CheckpointError where there is no generator, and as `ObjectGenerator.generate` does.
        """

        def make(text: str) -> NewShape:
            with self._lock:
                return self._make(text, run)

        return make

    def _make(self, text: str, run: Run) -> NewShape:
        from kyvo.shapes.cells import surface_latent  # meshes are imported where a shape is made
        from kyvo.shapes.mesh import normalized
        from kyvo.shapes.surfaces import surface_asset

        made = self.source.get()(text=text, cancelled=run.stops)
        mesh = normalized(surface_asset(made.mesh))
        latent = surface_latent(mesh, resolution=self.tokenizer.config.resolution)
        (codes,) = self.tokenizer.encode([latent]).tolist()
        width, length, height = np.ptp(mesh.triangles.reshape(-1, 3), axis=0).tolist()  # z is up
        return NewShape(codes=tuple(codes), extents=(width, height, length), notes=made.warnings)
