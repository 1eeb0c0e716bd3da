"""savedmodel against TensorFlow and the other runtimes: `python -m benchmarks peers`."""

from .measure import PeerSettings, peers

__all__ = ["PeerSettings", "peers"]
