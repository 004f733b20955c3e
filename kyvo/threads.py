"""How OpenMP's threads wait for each other: asleep, and not spinning.

A spinning thread holds a core that the others may need. On two busy cores a recognition took ten times as long so. The
setting is read when torch is loaded, so `import kyvo` makes it before, unless the user has made it.
"""

import os
import sys


def wait_passively() -> None:
    """Sets OMP_WAIT_POLICY=PASSIVE where nobody has set it, and torch is not loaded yet."""
    if "torch" not in sys.modules:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
