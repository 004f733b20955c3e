"""The script that `kyvo.export.blender` writes, with the scene in place of None: it builds that scene in Blender.

blender --python scene.py                              opens it
blender --background --python scene.py -- scene.blend  saves it
"""

import json
import math
import sys

import bpy  # type: ignore[import-not-found]
from mathutils import Matrix  # type: ignore[import-not-found]

TINT = "tint"  # the colors at vertices; Cycles shows nothing of an attribute that is called "color"

SCENE = None


def build(scene):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    for row in scene["objects"]:
        add_object(row, scene["meshes"])
    if scene["camera"]:
        add_camera(scene["camera"])
    sun = link(bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN")))
    sun.data.energy = 3
    sun.rotation_euler = (math.radians(35), math.radians(20), 0)
    bpy.context.scene.unit_settings.system = "METRIC"


def add_object(row, meshes):
    key = row["mesh"]
    mesh = bpy.data.meshes.get(f"mesh_{key}") or make_mesh(f"mesh_{key}", **meshes[key])
    added = link(bpy.data.objects.new(row["name"], mesh))
    added.matrix_world = Matrix(row["matrix"])
    added["kyvo"] = json.dumps(row["attributes"])
    added.material_slots[0].link = "OBJECT"  # the mesh may be shared
    added.material_slots[0].material = make_material(row, TINT in mesh.attributes)


def make_mesh(name, vertices, faces, normals, colors):
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(vertices, [], faces)
    mesh.normals_split_custom_set_from_vertices(normals)
    if colors:
        layer = mesh.attributes.new(TINT, "FLOAT_COLOR", "POINT")
        for place, color in zip(layer.data, colors, strict=True):
            place.color = (*color, 1)
    mesh.materials.append(None)
    return mesh


def make_material(row, colored):
    name = row["material"]
    if name in bpy.data.materials:
        return bpy.data.materials[name]
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    material.diffuse_color = (*row["color"], 1)  # of the solid view
    nodes = material.node_tree.nodes
    surface = nodes["Principled BSDF"]
    surface.inputs["Base Color"].default_value = (*row["color"], 1)
    surface.inputs["Metallic"].default_value = row["metallic"]
    surface.inputs["Roughness"].default_value = row["roughness"]
    if colored:
        reader = nodes.new("ShaderNodeAttribute")
        reader.attribute_name = TINT
        material.node_tree.links.new(reader.outputs["Color"], surface.inputs["Base Color"])
    return material


def add_camera(row):
    camera = link(bpy.data.objects.new("camera", bpy.data.cameras.new("camera")))
    camera.matrix_world = Matrix(row["matrix"])
    camera.data.sensor_fit = "HORIZONTAL"
    camera.data.sensor_width = row["film"]
    camera.data.lens = row["lens"]
    camera.data.shift_x, camera.data.shift_y = row["shift"]
    render = bpy.context.scene.render
    render.resolution_x, render.resolution_y = row["size"]
    bpy.context.scene.camera = camera


def link(added):
    bpy.context.scene.collection.objects.link(added)
    return added


if __name__ == "__main__":
    build(SCENE)
    if "--" in sys.argv:
        bpy.ops.wm.save_as_mainfile(filepath=sys.argv[sys.argv.index("--") + 1])
