# %% [markdown]
# # A mesh to tokens and back
#
# The bundled shape tokenizer turns a mesh into 512 tokens. Shape survives well, colour less.
# Run it: `python examples/05_shapes.py`.

# %%
from importlib.resources import files
from pathlib import Path

from kyvo.shapes.cells import surface_latent
from kyvo.shapes.contour import extract_mesh
from kyvo.shapes.mesh import load_placed
from kyvo.shapes.surfaces import colored_mesh, write_shape
from kyvo.shapes.tokenizer import ShapeTokenizer

out = Path("out/examples")
out.mkdir(parents=True, exist_ok=True)
chair = Path(str(files("kyvo"))) / "assets" / "samples" / "chair.glb"

# %% [markdown]
# The mesh is scaled into a cube of side 1. `place` says where it stood.

# %%
tokenizer = ShapeTokenizer.from_pretrained("mini")
mesh, place = load_placed(chair)

# %% [markdown]
# Features of its surface become tokens.

# %%
latent = surface_latent(mesh, resolution=tokenizer.config.resolution)
codes = tokenizer.encode([latent])
print(codes.shape, "tokens, each below", tokenizer.config.n_embed)

# %% [markdown]
# And back to a mesh, in its old place.

# %%
(again,) = tokenizer.decode(codes)
write_shape(colored_mesh(extract_mesh(again)), out / "chair_again.glb", place=place)
