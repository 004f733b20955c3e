"""The glTF extensions that are read, those without effect on the surface and its base color, and the refusal of others.

A file that requires an extension which is in neither table is refused by that extension's name (glTF 2.0, 3.12). An
extension that is not required may be ignored: by the standard the file is whole without it.
"""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from kyvo.data.meshes.mesh_parts import Fault

DRACO = "KHR_draco_mesh_compression"
INSTANCING = "EXT_mesh_gpu_instancing"
SPECULAR = "KHR_materials_pbrSpecularGlossiness"
TRANSFORM = "KHR_texture_transform"
VISIBILITY = "KHR_node_visibility"

READ = {
    DRACO: "where the package DracoPy is installed",
    INSTANCING: "each instance",
    SPECULAR: "diffuseFactor and diffuseTexture as the base color",
    TRANSFORM: "of the base color texture",
    VISIBILITY: "nodes that are not visible are left out",
    "EXT_texture_avif": "where Pillow reads AVIF",
    "EXT_texture_webp": "the picture",
    "KHR_mesh_quantization": "positions and texture coordinates in integers",
    "KHR_texture_basisu": "the plain picture where there is one; KTX2 is refused",
    "MSFT_texture_dds": "where Pillow reads the picture",
}
PICTURES = ("EXT_texture_webp", "EXT_texture_avif", "MSFT_texture_dds")  # extensions that name a readable picture
UNREAD_PICTURES = ("KHR_texture_basisu", "GOOGLE_texture_basis")

WITHOUT_EFFECT = frozenset(
    """
    KHR_animation_pointer KHR_audio_emitter KHR_implicit_shapes KHR_interactivity KHR_lights_punctual
    KHR_materials_anisotropy KHR_materials_clearcoat KHR_materials_diffuse_transmission KHR_materials_dispersion
    KHR_materials_emissive_strength KHR_materials_ior KHR_materials_iridescence KHR_materials_sheen
    KHR_materials_specular KHR_materials_transmission KHR_materials_unlit KHR_materials_variants KHR_materials_volume
    KHR_materials_volume_scatter KHR_node_hoverability KHR_node_selectability KHR_physics_rigid_bodies KHR_xmp
    KHR_xmp_json_ld AGI_articulations AGI_stk_metadata EXT_instance_features EXT_lights_ies EXT_lights_image_based
    EXT_mesh_features EXT_mesh_manifold EXT_structural_metadata GRIFFEL_bim_data MPEG_audio_spatial MSFT_lod
    MSFT_packing_normalRoughnessMetallic MSFT_packing_occlusionRoughnessMetallic VRM VRMC_materials_mtoon
    VRMC_springBone VRMC_vrm
    """.split()  # noqa: SIM905
)

# Extensions that keep the data elsewhere; without their decoder there is nothing to see.
COMPRESSIONS = {DRACO: "DracoPy", "EXT_meshopt_compression": None, "KHR_meshopt_compression": None}


def check_required(names: Sequence[str]) -> None:
    """Raises Fault for the first required extension that is not read."""
    for name in names:
        if name in COMPRESSIONS:
            decoder = COMPRESSIONS[name]
            if decoder is None or not find_spec(decoder):
                raise compressed("it", name)
        elif name not in READ and name not in WITHOUT_EFFECT and name not in UNREAD_PICTURES:
            raise Fault(
                f"it requires the extension {name}, which is not read",
                "Export the mesh without it, as plain triangles.",
            )


def compressed(what: str, name: str) -> Fault:
    decoder = COMPRESSIONS[name]
    install = "" if decoder is None else f", or run: pip install {decoder}"
    return Fault(
        f"{what} is compressed ({name}), and there is no decoder for that here",
        f"Export the mesh without compression{install}.",
    )


def extension(owner: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """An object's own data of an extension."""
    return owner.get("extensions", {}).get(name)
