"""Meshes: files, assets, a procedural library, and ObjaWorld scenes made of them."""
