# %% [markdown]
# # Edit a scene by chat
#
# A text becomes a program, and the program is executed on the scene.
# Run it: `python examples/02_edit_by_chat.py`.

# %%
from importlib.resources import files
from pathlib import Path

from PIL import Image

from kyvo import Conversation, Kyvo, load_scene
from kyvo.programs.errors import AmbiguousReference, ProgramError

out = Path("out/examples")
out.mkdir(parents=True, exist_ok=True)
scene = load_scene(Path(str(files("kyvo"))) / "assets" / "samples" / "clevr_0.json")
model = Kyvo.from_pretrained("mini")

# %% [markdown]
# One edit. `understood.reading` says in words what the program does.

# %%
edited = model.edit(scene, "Remove the yellow cube.")
print(edited.understood.reading)
Image.fromarray(edited.image).save(out / "edited.png")

# %% [markdown]
# One question. `objects` are the indices of the objects that the answer rests on.

# %%
answer = model.ask(scene, "How many spheres are there?")
print(answer.text, answer.objects)

# %% [markdown]
# A text that fits several objects raises an error with the candidates. The scene stays as it was.

# %%
try:
    model.edit(scene, "Remove the large cube.", render=False)
except AmbiguousReference as error:
    print(error, error.candidates)

# %% [markdown]
# So does a text with an unknown word.

# %%
try:
    model.edit(scene, "Remove the dog.", render=False)
except ProgramError as error:
    print(error)

# %% [markdown]
# A conversation remembers its turns: "it" is what the last turn was about.

# %%
talk = Conversation(model, scene)
for text in ("Paint the small cyan cube red.", "Is it left of the brown sphere?", "Move it behind the brown sphere."):
    print(">", text)
    print(talk.say(text).describe())
talk.undo()
talk.save(out / "talk.json")
