"""The models, by the API that makes them. Importing this package registers all of them."""

from . import (
    awkward,
    bad_signatures,
    convolutions,
    damaged,
    effects,
    keras_models,
    optimizing,
    recurrent,
    transformers,
    v1,
    v2,
)
from .registry import MODELS, generate

__all__ = [
    "MODELS",
    "awkward",
    "bad_signatures",
    "convolutions",
    "damaged",
    "effects",
    "generate",
    "keras_models",
    "optimizing",
    "recurrent",
    "transformers",
    "v1",
    "v2",
]
