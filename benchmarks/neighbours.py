"""Other processes that want the cores: each a plain loop that never sleeps."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# It ends with its parent, however that ends.
BUSY = """
import os
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(100_000):
        pass
"""


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    """Keeps `count` busy processes running."""
    command = [sys.executable, "-E", "-S", "-c", BUSY]
    processes = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()
