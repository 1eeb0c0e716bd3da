"""Recipes by seed, one file a kind of model."""

from __future__ import annotations

from collections.abc import Callable

from ..recipe import Recipe
from . import arithmetic, images, narrow, recurrent, rows, state

GENERATORS: dict[str, Callable[[int], Recipe]] = {
    "arithmetic": arithmetic.make,
    "images": images.make,
    "narrow": narrow.make,
    "recurrent": recurrent.make,
    "rows": rows.make,
    "state": state.make,
}
