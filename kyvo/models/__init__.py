"""The networks: embedding, head, language model sizes, image VQGAN, and folding to plain Llama."""
