"""`kyvo studio`: the page, on a server of this machine alone."""

from kyvo.cli.model import GeometryFolder, Library, Objects, Parser, Renderer, Scenes, SegmenterFolder
from kyvo.cli.serve import Device, Megapixels, Model, Port, Timeout, model_name


def studio(
    model: Model = "mini",
    port: Port = 8001,
    device: Device = "auto",
    parser: Parser = "auto",
    objects: Objects = "mini",
    renderer: Renderer = "model",
    scenes: Scenes = "mini",
    library: Library = None,
    segmenter: SegmenterFolder = None,
    geometry: GeometryFolder = None,
    timeout: Timeout = 60.0,
    max_megapixels: Megapixels = 20.0,
) -> None:
    """Open a page in the browser: a picture becomes a scene in 3D, which is changed and asked about in words.

    The same server answers as `kyvo serve` does. Needs the extra `studio` of the package.

    Example: kyvo studio --port 8001
    """
    from kyvo.serving.studio import import_gradio, mount_studio

    import_gradio()  # first, so that a missing package is said at once
    from kyvo.cli.model import load_model, scene_source
    from kyvo.serving.app import create_app
    from kyvo.serving.limits import Limits
    from kyvo.serving.memory import use_few_heaps
    from kyvo.serving.server import open_socket, run_app

    use_few_heaps()
    listener = open_socket("127.0.0.1", port)
    limits = Limits(seconds=timeout, megapixels=max_megapixels)
    loaded = load_model(model, device, parser, objects, renderer)
    made = scene_source(loaded, scenes, library, segmenter, geometry)
    app = create_app(loaded, name=model_name(model), limits=limits, scenes=made)
    mount_studio(app)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    run_app(app, listener, patience=3)  # an open page holds a connection that never ends
