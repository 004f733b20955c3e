"""Flow models that make objects: TRELLIS's two stages, their blocks and their conditions."""
