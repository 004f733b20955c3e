"""The shipped YAML files, importable as `kyvo.configs` so that `importlib.resources.files("kyvo.configs")` finds them
in a clone and in an installed wheel alike."""
