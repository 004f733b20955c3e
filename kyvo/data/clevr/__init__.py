"""CLEVR: scenes sampled under its rules, and their pictures by a ray tracer or Blender."""
