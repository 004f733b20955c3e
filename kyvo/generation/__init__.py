"""Decoding: the grammar of what may come next, and the engine that obeys it."""
