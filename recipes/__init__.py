"""The training recipes, importable as `kyvo.recipes` so that `tune run kyvo/recipes/finetune` works from any directory.

pyproject.toml maps this folder into the package. A top-level package called `recipes` cannot be used: torchtune
installs one of that name, which raises when it is imported.
"""
