"""What a measurement was made with: the checkout's commit and the machine."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any


def checkout_commit(folder: Path) -> str | None:
    """The commit of the checkout that `folder` is in, with a + where files differ from it; None outside one."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def machine() -> dict[str, Any]:
    """The processor, its cores, and how busy they were: with a load far above the cores, times mean little."""
    return {"cpu": cpu_name(), "cores": os.cpu_count(), "load_average": round(os.getloadavg()[0], 2)}


def cpu_name() -> str:
    """As the system names it."""
    path = Path("/proc/cpuinfo")  # Linux; platform.processor() is empty or only the family there
    for line in path.read_text().splitlines() if path.is_file() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
