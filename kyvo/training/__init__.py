"""The torchtune side: everything a recipe names in its YAML. Nothing that runs a model imports this."""
