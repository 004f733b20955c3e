# %% [markdown]
# # Serve the model and call it
#
# `kyvo serve --port 8000` starts a server in a terminal. Here one runs in a thread, on a free port.
# The server speaks OpenAI's chat API, so its client works as well as the plain HTTP below.
# Run it: `python examples/03_serve_and_call.py`.

# %%
import base64
import json
from importlib.resources import files
from pathlib import Path
from urllib.request import Request, urlopen

from kyvo import Kyvo
from kyvo.serving.app import create_app
from kyvo.serving.server import serving

picture = Path(str(files("kyvo"))) / "assets" / "samples" / "clevr_0.png"


def chat(url: str, *parts: dict) -> dict:
    """The answer's message to a user's message of these parts."""
    body = {"model": "mini", "messages": [{"role": "user", "content": list(parts)}]}
    headers = {"Content-Type": "application/json"}
    with urlopen(Request(f"{url}/v1/chat/completions", json.dumps(body).encode(), headers)) as reply:
        return json.load(reply)["choices"][0]["message"]


# %% [markdown]
# A picture alone is recognised. A scene and a text are a question or an instruction.

# %%
image = {
    "type": "image_url",
    "image_url": {"url": "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()},
}

with serving(create_app(Kyvo.from_pretrained("mini"), name="mini")) as url:
    scene = json.loads(chat(url, image)["content"])
    print(len(scene["objects"]), "objects")

    shown = {"type": "scene", "scene": scene}
    print(chat(url, shown, {"type": "text", "text": "How many spheres are there?"})["content"])

    edited = json.loads(chat(url, shown, {"type": "text", "text": "Remove the yellow cube."})["content"])
    print(len(edited["objects"]), "objects after the edit")
