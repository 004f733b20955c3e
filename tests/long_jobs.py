"""Jobs over HTTP, waited for."""

import time
from typing import Any


def ended(http: Any, answer: Any) -> dict[str, Any]:
    """The status of a job that an answer began, once it is done."""
    assert answer.status_code == 202, answer.text
    path = answer.json()["path"]
    for _ in range(3000):
        status = http.get(path).json()
        if status["status"] not in ("waiting", "running"):
            return status
        time.sleep(0.05)
    raise AssertionError(status)
