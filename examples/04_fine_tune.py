# %% [markdown]
# # Fine-tune a tiny model
#
# Make data, turn it into codes, train, and recognise with the result. The model is tiny and takes 20 steps; it learns
# nothing to speak of. It shows the steps; docs/training.md has sizes that learn.
# Run it in a clone: `python examples/04_fine_tune.py`.

# %%
import subprocess
import sys
from pathlib import Path

from kyvo import Kyvo

ROOT = Path(__file__).resolve().parent.parent
MINI = ROOT / "kyvo" / "assets" / "mini"
out = Path("out/examples")


def run(*words: str | Path) -> None:
    """A Python program; an error ends this one."""
    subprocess.run([sys.executable, *map(str, words)], check=True)


# %% [markdown]
# Ray-traced pictures with their scenes: `kyvo data clevr`.

# %%
run("-m", "kyvo", "data", "clevr", "--count", "8", "--size", "120x80", "--seed", "1", "--out", out / "data")

# %% [markdown]
# The image tokenizer turns each picture into codes, once for all of training.

# %%
run(ROOT / "tokenizers" / "encode.py", "--data", out / "data", "--image-tokenizer", MINI, "--out", out / "codes")

# %% [markdown]
# Train: `tune run kyvo/recipes/finetune`. Words after the config override its settings.

# %%
settings = [f"processor={MINI}", f"data.folders=[{out / 'codes'}]", f"output_dir={out / 'tuned'}"]
config = ROOT / "configs" / "train" / "tiny.yaml"
run("-m", "torchtune._cli.tune", "run", "kyvo/recipes/finetune", "--config", config, *settings)

# %% [markdown]
# The checkpoint is a model folder like any other.

# %%
model = Kyvo.from_pretrained(out / "tuned" / "step_000020" / "model")
print(len(model.recognize([ROOT / "kyvo" / "assets" / "samples" / "clevr_0.png"])[0]), "objects")
