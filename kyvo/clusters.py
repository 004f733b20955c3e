"""Ray, for work that is shared out over machines: found or started, and silent on stderr.

What goes wrong in a task is raised where its result is taken; Ray's own lines (how a run was planned, where its logs
lie, tips) are for its log files.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kyvo.extras import extra

# Read by Ray as it is imported or started. What a user has set stays.
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray's reports home: nothing here needs a network
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",  # the commands have their own
    "RAY_BACKEND_LOG_LEVEL": "error",  # of its C++ part, which also writes to the driver's stderr
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # newer versions warn of the older default
}


def import_ray() -> Any:
    """The module `ray`, with `ray.data`. Raises MissingDependency where it is not installed."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    with extra("ray"):
        import ray  # type: ignore[import-not-found]
        import ray.data  # type: ignore[import-not-found]
    return ray


@contextmanager
def cluster() -> Iterator[Any]:
    """`ray`, on the cluster that `RAY_ADDRESS` or `ray start` names, else on a local one that ends with the block.

    Raises MissingDependency as `import_ray`.
    """
    ray = import_ray()
    began = not ray.is_initialized()
    if began:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    _silence()
    try:
        yield ray
    finally:
        if began:
            ray.shutdown()


def _silence() -> None:
    """Leaves errors alone of what Ray's loggers write to stderr; their log files keep all."""
    for name in ("ray", "ray.data", "ray.train", "ray.tune"):
        for handler in logging.getLogger(name).handlers:
            if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
                handler.setLevel(logging.ERROR)
