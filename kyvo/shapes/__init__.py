"""Meshes to structured latents and back.

A mesh is a `kyvo.data.meshes.assets.Asset`; `kyvo.shapes.mesh.load_shape(path)` reads one into TRELLIS's cube, z up. So
`kyvo.shapes.features.surface_features(mesh, resolution=64)` gives `(coords int64 [L, 3], feats float32 [L, 9])`
without any weights, and `kyvo.shapes.dino` TRELLIS's features and latents. The way back is `kyvo.shapes.surfaces`
(meshes, and their places in a scene) and `kyvo.shapes.gaussian_files`.
"""
