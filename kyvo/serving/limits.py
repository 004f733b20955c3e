"""`Limits`: how much a client may ask for. Each is checked before the work that it bounds."""

from dataclasses import dataclass, fields

from kyvo.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Of one server. Raises ConfigError where one is not above 0."""

    body: int = 16 * 2**20  # bytes of a request
    memory: int = 512 * 2**20  # bytes of all requests in flight: their bodies four times, as they are parsed
    body_seconds: float = 20.0  # for a request's body to arrive, and for a client to go on taking its answer
    values: int = 200_000  # of JSON, before they are made
    depth: int = 32  # of JSON
    megapixels: float = 20.0  # of a picture, by its header
    mask_megapixels: float = 100.0  # of all masks of a picture together
    picture_seconds: float = 5.0  # of the processor, for decoding a picture that is no plain PNG or JPEG
    objects: int = 64  # of a scene that is given
    text: int = 2000  # characters of a question or an instruction
    jobs: int = 64  # taken and not done; one more is answered 429
    parallel: int = 32  # jobs worked on at a time: as many as the engine has rows
    seconds: float = 60.0  # for a job, waiting counted
    object_jobs: int = 8  # that make objects, taken and not done
    object_count: int = 16  # objects of one such job
    object_seconds: float = 600.0  # for such a job, waiting counted
    object_results: int = 2**28  # bytes of finished jobs' files that are kept to be fetched
    mesh_seconds: float = 20.0  # of the processor, for reading a mesh or a latent
    mesh_memory: int = 2**31  # bytes that reading it may take
    uploads: int = 2**30  # bytes that the studio's uploads take on the disk
    connections: int = 512  # open at a time, as far as the system lets a process open files
    head_seconds: float = 10.0  # for a request's head to arrive

    def __post_init__(self) -> None:
        for entry in fields(self):
            if not getattr(self, entry.name) > 0:
                raise ConfigError(f"the limit {entry.name} is {getattr(self, entry.name)}; above 0 is needed.")
