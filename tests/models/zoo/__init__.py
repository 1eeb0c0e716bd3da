"""The models, by the API that makes them. Importing this package registers all of them."""

from . import awkward, bad_signatures, damaged, keras_models, transformers, v1, v2
from .registry import MODELS, generate

__all__ = [
    "MODELS",
    "awkward",
    "bad_signatures",
    "damaged",
    "generate",
    "keras_models",
    "transformers",
    "v1",
    "v2",
]
