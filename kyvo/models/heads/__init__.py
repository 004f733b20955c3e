"""Small networks that work with the language model, each in a file of its own."""
