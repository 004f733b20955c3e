"""Scenes and pictures to files that people and other programs open. Needs only `scene`."""
