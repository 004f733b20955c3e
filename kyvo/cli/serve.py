"""`kyvo serve`: the model behind HTTP."""

from typing import Annotated

import typer

from kyvo.cli.model import GeometryFolder, Library, Objects, Parser, Renderer, Scenes, SegmenterFolder

Model = Annotated[str, typer.Option(help="A bundled model's name, or a model folder.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Megapixels = Annotated[float, typer.Option(min=0.01, help="Of a picture, at most.")]
Timeout = Annotated[float, typer.Option(min=0.1, help="Seconds for an answer, waiting counted.")]


def serve(
    model: Model = "mini",
    host: Annotated[str, typer.Option(help="The address to listen at; others than this machine's need a key.")] = (
        "127.0.0.1"
    ),
    port: Port = 8000,
    device: Device = "auto",
    parser: Parser = "auto",
    objects: Objects = "mini",
    renderer: Renderer = "model",
    scenes: Scenes = "mini",
    library: Library = None,
    segmenter: SegmenterFolder = None,
    geometry: GeometryFolder = None,
    api_key: Annotated[
        str | None, typer.Option(envvar="KYVO_API_KEY", help="Needed of every request: Authorization: Bearer KEY.")
    ] = None,
    queue: Annotated[int, typer.Option(min=1, help="Jobs taken at a time; one more is answered 429.")] = 64,
    timeout: Timeout = 60.0,
    max_body: Annotated[float, typer.Option(min=0.001, help="Of a request, MiB.")] = 16.0,
    max_megapixels: Megapixels = 20.0,
    max_objects: Annotated[int, typer.Option(min=1, help="Of a scene that is given.")] = 64,
    max_memory: Annotated[
        float, typer.Option(min=1, help="Of the bodies of all requests in flight, as they are parsed, MiB.")
    ] = 512.0,
    max_connections: Annotated[int, typer.Option(min=8, help="Open at a time.")] = 512,
    cors: Annotated[
        list[str] | None, typer.Option(help="Pages of this origin may ask, as https://example.org; * for all. Repeat.")
    ] = None,
    max_text: Annotated[int, typer.Option(min=1, help="Of a question or an instruction, characters.")] = 2000,
) -> None:
    """Answer over HTTP: OpenAI's chat completions, /v1/scenes and /v1/objects. Ctrl-C finishes what is begun and stops.

    Example: kyvo serve --port 8000
    """
    from kyvo.cli.model import load_model, scene_source
    from kyvo.errors import ConfigError
    from kyvo.serving.app import LOCAL_HOSTS, create_app
    from kyvo.serving.limits import Limits
    from kyvo.serving.memory import use_few_heaps
    from kyvo.serving.server import open_socket, run_app

    local = host in LOCAL_HOSTS
    if not (local or api_key):
        raise ConfigError(f"at {host} others can reach the server; set a key by --api-key or KYVO_API_KEY.")
    limits = Limits(
        jobs=queue,
        seconds=timeout,
        body=int(max_body * 2**20),
        memory=int(max_memory * 2**20),
        connections=max_connections,
        megapixels=max_megapixels,
        objects=max_objects,
        text=max_text,
    )
    use_few_heaps()
    listener = open_socket(host, port)
    loaded = load_model(model, device, parser, objects, renderer)
    app = create_app(
        loaded,
        name=model_name(model),
        limits=limits,
        api_key=api_key,
        hosts=LOCAL_HOSTS if local else None,
        origins=cors or (),
        scenes=scene_source(loaded, scenes, library, segmenter, geometry),
    )
    print(f"http://{host}:{listener.getsockname()[1]}/v1", flush=True)
    run_app(app, listener, patience=timeout)


def model_name(model: str) -> str:
    """What clients call the model: its own name, or its folder's."""
    from pathlib import Path

    return Path(model).resolve().name
