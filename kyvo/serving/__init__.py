"""The model behind HTTP: an API that OpenAI's clients speak, and a page to look at (`kyvo.serving.studio`)."""

from kyvo.extras import extra

with extra("serve"):
    import fastapi  # noqa: F401
    import prometheus_client  # noqa: F401
    import uvicorn  # noqa: F401
