# %% [markdown]
# # Recognise a folder of pictures
#
# Each picture becomes a scene file. A manifest says how each picture went.
# Open this file as a notebook with jupytext, or run it: `python examples/01_recognize_a_folder.py`.

# %%
from importlib.resources import files
from pathlib import Path

from kyvo import Kyvo, load_scene
from kyvo.batch import recognize_files

pictures = Path(str(files("kyvo"))) / "assets" / "samples"
out = Path("out/examples/scenes")

# %% [markdown]
# Load the bundled model once. It recognises the pictures of a batch together.

# %%
model = Kyvo.from_pretrained("mini")
lines = recognize_files(model, [pictures], out, resume=True)
for line in lines:
    print(line.status, line.output, f"{line.objects} objects")

# %% [markdown]
# A scene is plain data. Places are in CLEVR's units, with z up.

# %%
scene = load_scene(out / "clevr_0.json")
for item in scene.objects:
    print(item.size, item.color, item.material, item.shape, item.location, f"{item.confidence:.2f}")

# %% [markdown]
# An object of low confidence may be wrong. Leave such objects out with `min_confidence`.

# %%
sure = recognize_files(model, [pictures / "clevr_0.png"], Path("out/examples/sure"), min_confidence=0.5, overwrite=True)
print(sum(line.dropped for line in sure), "objects left out")
