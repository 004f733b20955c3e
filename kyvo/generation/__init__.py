"""Decoding: the constraint on what may come next, and the engine that obeys it."""
