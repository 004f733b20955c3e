"""The model behind HTTP: an API that OpenAI's clients speak, and a page to look at (`kyvo.serving.studio`)."""
