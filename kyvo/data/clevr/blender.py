"""CLEVR's pictures by Blender's path tracer, Cycles, on the CPU: the slow, faithful twin of the ray tracer.

Solids, materials, lamps and camera are built in code; no .blend file is read. The scene is that of
https://arxiv.org/abs/1612.06890 as far as its text and pictures tell: three area lamps over a grey floor, rubber that
is nearly matt, metal that mirrors, cubes and cylinders with rounded edges. Light bounces, so colours bleed onto
neighbours, and metal shows the shadows and lamps that it faces; the ray tracer knows neither.

Blender is the extra `[blender]`, imported on the first use. It has one global state, which `render` resets. The paths'
random numbers are the same for every picture, so a scene's picture does not depend on the batch it is in.
"""

import math
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8

from kyvo.data.clevr.primitives import BEVEL, CONE, CUBE, CYLINDER, SPHERE, SceneBatch
from kyvo.data.clevr.raytracer import FLOOR_ALBEDO, LAMP_SIDE
from kyvo.extras import MissingDependency, explain_import
from kyvo.tokenizers.pictures import read_picture

SYSTEM_PACKAGES = "libx11-6 libxrender1 libxfixes3 libxi6 libxkbcommon0 libsm6 libgl1"  # Debian's and Ubuntu's names

# Fitted, in linear light, to seven of the first ten real pictures of eval/sim2real.py, with lamps at their means.
LAMP_POWER = ((6.0, 5.6, 4.8), (1.46, 1.64, 2.13), (3.3, 3.1, 3.2))  # linear RGB of a white surface at distance 1
AMBIENT = (0.205, 0.205, 0.205)  # the same of one that sees the whole sky and no lamp
FLOOR_SIDE = 100.0  # CLEVR's units; its end is far above every picture
SENSOR = 32.0  # mm
MAX_BOUNCES = 8  # as CLEVR's own renders
FILTER_GLOSSY = 2.0  # likewise: blurs mirrored light after a diffuse bounce, against stray bright pixels
RUBBER_SHINE, RUBBER_ROUGHNESS = 0.02, 0.5
METAL_MATT, METAL_ROUGHNESS = 0.15, 0.3


def import_bpy() -> ModuleType:
    """Blender as a module.

    Raises:
        MissingDependency: it is not installed, or a system library that it needs is missing.
    """
    try:
        import bpy  # type: ignore[import-not-found]
    except ImportError as error:
        raise explain_bpy(error) from error
    return bpy


def explain_bpy(error: ImportError) -> MissingDependency:
    """What to do about an `error` of `import bpy`."""
    if isinstance(error, ModuleNotFoundError) and error.name == "bpy":
        return MissingDependency(
            'The renderer "blender" needs Blender, which is not installed. '
            'Run, with Python 3.11: pip install "kyvo[blender]"'
        )
    return explain_import(error, name="Blender", package='"kyvo[blender]"', system_packages=SYSTEM_PACKAGES)


def render(
    scenes: SceneBatch, *, width: int, height: int, samples: int = 16
) -> UInt8[np.ndarray, "batch height width 3"]:
    """Pictures of the scenes, with `samples` paths a pixel, denoised. It runs on as many threads as torch does.

    Raises:
        MissingDependency: Blender does not import.
    """
    stage = _Stage(import_bpy(), width, height, samples)
    pictures = np.zeros((len(scenes), height, width, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        for index in range(len(scenes)):
            stage.set_up(scenes, index)
            pictures[index] = stage.take(path)
    return pictures


class _Stage:
    """Blender's scene: what is the same in all pictures is built once, the rest by `set_up` for each."""

    def __init__(self, bpy: ModuleType, width: int, height: int, samples: int) -> None:
        import bmesh  # type: ignore[import-not-found]  # a part of Blender, there once `bpy` is

        self.bpy, self.bmesh = bpy, bmesh
        bpy.ops.wm.read_factory_settings(use_empty=True)
        self.scene = bpy.context.scene
        self._settings(width, height, samples)
        self._sky()
        self.meshes = {
            CUBE: self._cube(),
            SPHERE: self._sphere(),
            CYLINDER: self._cone("cylinder", top=1.0),
            CONE: self._cone("cone", top=0.0),
        }
        self.materials: dict[tuple[Any, ...], Any] = {}  # (red, green, blue, metal) -> Blender's, as they are needed
        self._place("floor", self._floor())
        self.camera = self._place("camera", bpy.data.cameras.new("camera"))
        self.camera.data.sensor_width = SENSOR
        self.camera.data.sensor_fit = "HORIZONTAL"
        self.scene.camera = self.camera
        self.lamps = [self._lamp(f"lamp {i}", *lamp) for i, lamp in enumerate(zip(LAMP_POWER, LAMP_SIDE, strict=True))]
        self.primitives: list[Any] = []

    def set_up(self, scenes: SceneBatch, index: int) -> None:
        """Puts the camera, the lamps and the solids of one scene in their places."""
        axes = scenes.axes[index].double().numpy() * [[1], [-1], [-1]]  # Blender's are right, up and back
        self.camera.matrix_world = _matrix(axes, scenes.camera[index].double().numpy())
        self.camera.data.lens = scenes.focal[index].item() * SENSOR
        for lamp, position in zip(self.lamps, scenes.lamps[index].double().numpy(), strict=True):
            back = position / np.linalg.norm(position)
            across = np.cross([0.0, 0.0, 1.0], back)
            across /= np.linalg.norm(across)
            lamp.matrix_world = _matrix(np.stack([across, np.cross(back, across), back]), position)
        for solid in self.primitives:
            self.bpy.data.objects.remove(solid)
        self.primitives = [
            self._primitive(scenes, index, item) for item in scenes.valid[index].nonzero()[:, 0].tolist()
        ]

    def take(self, path: Path) -> np.ndarray:
        """The picture, uint8 [height, width, 3], by way of a file: without a window Blender hands out no pixels."""
        self.scene.render.filepath = str(path)
        with _silent():
            self.bpy.ops.render.render(write_still=True)
        return read_picture(path)

    def _settings(self, width: int, height: int, samples: int) -> None:
        render, cycles = self.scene.render, self.scene.cycles
        render.engine = "CYCLES"
        cycles.device = "CPU"
        cycles.samples = samples
        cycles.use_adaptive_sampling = False
        cycles.use_denoising = True
        cycles.denoiser = "OPENIMAGEDENOISE"
        cycles.seed = 0
        cycles.max_bounces = MAX_BOUNCES
        cycles.blur_glossy = FILTER_GLOSSY
        render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
        render.threads_mode, render.threads = "FIXED", torch.get_num_threads()
        render.image_settings.file_format = "PNG"
        render.image_settings.color_mode = "RGB"
        render.dither_intensity = 0.0
        render.use_persistent_data = True
        self.scene.view_settings.view_transform = "Standard"  # plain sRGB; the default imitates film

    def _sky(self) -> None:
        """Even light from all sides, which mirrors do not see: the tops of CLEVR's metal are dark."""
        world = self.scene.world = self.bpy.data.worlds.new("sky")
        world.use_nodes = True
        world.node_tree.nodes["Background"].inputs["Color"].default_value = (*AMBIENT, 1.0)
        world.cycles_visibility.glossy = False

    def _lamp(self, name: str, power: tuple[float, float, float], side: float) -> Any:
        data = self.bpy.data.lights.new(name, "AREA")
        data.size = side
        data.color = power
        data.energy = 4 * math.pi  # W; at 1 W a white surface at distance 1 reflects 1 / (4 pi)
        return self._place(name, data)

    def _material(self, name: str, rgb: tuple[float, ...], metal: bool | None) -> Any:
        """A matt base under a glossy coat: metal mirrors in its color, rubber in white; the floor (None) is matt."""
        material = self.bpy.data.materials.new(name)
        material.use_nodes = True
        nodes, links = material.node_tree.nodes, material.node_tree.links
        nodes.clear()
        matt, glossy, mix, out = (
            nodes.new(f"ShaderNode{kind}") for kind in ("BsdfDiffuse", "BsdfGlossy", "MixShader", "OutputMaterial")
        )
        matt.inputs["Color"].default_value = (*rgb, 1.0)
        glossy.inputs["Color"].default_value = (*rgb, 1.0) if metal else (1.0, 1.0, 1.0, 1.0)
        glossy.inputs["Roughness"].default_value = METAL_ROUGHNESS if metal else RUBBER_ROUGHNESS
        mix.inputs[0].default_value = 0.0 if metal is None else 1 - METAL_MATT if metal else RUBBER_SHINE
        links.new(matt.outputs[0], mix.inputs[1])
        links.new(glossy.outputs[0], mix.inputs[2])
        links.new(mix.outputs[0], out.inputs["Surface"])
        return material

    def _primitive(self, scenes: SceneBatch, index: int, item: int) -> Any:
        mesh = self.meshes[int(scenes.shape[index, item])]
        solid = self._place(f"solid {item}", mesh)
        solid.location = scenes.position[index, item].tolist()
        solid.rotation_euler = (0.0, 0.0, scenes.rotation[index, item].item())
        solid.scale = (scenes.radius[index, item].item(),) * 3
        solid.material_slots[0].link = "OBJECT"  # the mesh is shared
        look = (*scenes.color[index, item].tolist(), bool(scenes.metal[index, item]))
        if look not in self.materials:
            self.materials[look] = self._material(str(look), look[:3], look[3])
        solid.material_slots[0].material = self.materials[look]
        return solid

    def _cube(self) -> Any:
        solid = self.bmesh.new()
        self.bmesh.ops.create_cube(solid, size=2.0)
        return self._mesh("cube", solid, rounded=solid.edges[:])

    def _sphere(self) -> Any:
        solid = self.bmesh.new()
        self.bmesh.ops.create_uvsphere(solid, u_segments=96, v_segments=48, radius=1.0)
        return self._mesh("sphere", solid)

    def _cone(self, name: str, *, top: float) -> Any:
        """From radius 1 at z = -1 to `top` at z = 1."""
        solid = self.bmesh.new()
        self.bmesh.ops.create_cone(solid, cap_ends=True, segments=96, radius1=1.0, radius2=top, depth=2.0)
        rims = [edge for edge in solid.edges if any(len(face.verts) == 96 for face in edge.link_faces)]
        return self._mesh(name, solid, rounded=rims)

    def _floor(self) -> Any:
        solid = self.bmesh.new()
        self.bmesh.ops.create_grid(solid, x_segments=1, y_segments=1, size=FLOOR_SIDE / 2)
        mesh = self._mesh("floor", solid)
        mesh.materials[0] = self._material("floor", (FLOOR_ALBEDO,) * 3, None)
        return mesh

    def _mesh(self, name: str, solid: Any, rounded: Sequence[Any] = ()) -> Any:
        """Blender's mesh of a solid of radius 1, with a slot for its material and these edges rounded."""
        if rounded:
            self.bmesh.ops.bevel(
                solid, geom=rounded, offset=BEVEL, offset_type="OFFSET", segments=6, profile=0.5, affect="EDGES"
            )
        for face in solid.faces:
            face.smooth = face.calc_area() < 1.0  # the flat sides stay flat
        mesh = self.bpy.data.meshes.new(name)
        solid.to_mesh(mesh)
        solid.free()
        mesh.materials.append(None)
        return mesh

    def _place(self, name: str, data: Any) -> Any:
        placed = self.bpy.data.objects.new(name, data)
        self.scene.collection.objects.link(placed)
        return placed


def _matrix(axes: Float[np.ndarray, "3 3"], location: Float[np.ndarray, "3"]) -> Any:
    """Blender's transform to this place; `axes` are the rows x, y, z of what is placed, in the world."""
    from mathutils import Matrix  # type: ignore[import-not-found]  # a part of Blender, there once `bpy` is

    return Matrix([*np.column_stack([axes.T, location]).tolist(), [0, 0, 0, 1]])


@contextmanager
def _silent() -> Iterator[None]:
    """Nothing reaches the standard output, where Blender tells of every picture by C's own means."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
