"""What steps may be; importing the package enters all of them."""

from . import arithmetic, images, recurrent, rows, state

__all__ = ["arithmetic", "images", "recurrent", "rows", "state"]
