"""The models, by the API that makes them. Importing this package registers all of them."""

from . import (
    awkward,
    bad_signatures,
    batching,
    convolutions,
    damaged,
    edges,
    effects,
    keras_models,
    objects,
    optimizing,
    precision,
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
    "batching",
    "convolutions",
    "damaged",
    "edges",
    "effects",
    "generate",
    "keras_models",
    "objects",
    "optimizing",
    "precision",
    "recurrent",
    "transformers",
    "v1",
    "v2",
]
