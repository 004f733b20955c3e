"""The language model: sizes, embedding, and folding to a plain `LlamaForCausalLM`."""
