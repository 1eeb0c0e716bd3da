"""The models that are timed: what the parent needs to know of each without opening it.

`zoo/` makes them, in a child process, so that the parent never imports TensorFlow.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(__file__).resolve().parent / ".models"
SEED = 7

Shape = tuple[int, ...]


def uniform(random: np.random.Generator, shape: Shape) -> NDArray[Any]:
    return random.uniform(-1, 1, shape).astype("<f4")


def pixels(random: np.random.Generator, shape: Shape) -> NDArray[Any]:
    """For networks that scale 0 to 255 themselves."""
    return random.uniform(0, 255, shape).astype("<f4")


def uniform64(random: np.random.Generator, shape: Shape) -> NDArray[Any]:
    return random.uniform(-1, 1, shape)


def whole(below: int) -> Callable[[np.random.Generator, Shape], NDArray[Any]]:
    """int32 in [0, below)."""
    return lambda random, shape: random.integers(0, below, shape).astype("<i4")


def padding_mask(random: np.random.Generator, shape: Shape) -> NDArray[Any]:
    """Ones, then zeros from somewhere in the second half on, as of sentences of unlike lengths."""
    length = random.integers(shape[1] // 2, shape[1], (shape[0], 1), endpoint=True)
    return (np.arange(shape[1]) < length).astype("<i4")


def words(stem: str, known: int) -> Callable[[np.random.Generator, Shape], NDArray[Any]]:
    """Strings of a vocabulary of `known` words; a tenth is not in it."""

    def make(random: np.random.Generator, shape: Shape) -> NDArray[Any]:
        numbered: NDArray[Any] = np.char.add(stem, random.integers(0, known * 10 // 9, shape).astype(str))
        return numbered.astype("S")

    return make


@dataclass(frozen=True)
class InputSpec:
    """One input: its shape without the batch dimension, and how random values of it are drawn."""

    row: Shape
    values: Callable[[np.random.Generator, Shape], NDArray[Any]] = uniform


@dataclass(frozen=True)
class ModelSpec:
    name: str
    about: str
    batches: tuple[int, ...]  # of `compare`; empty: it leaves this model out
    # By the signature's names. A dict has no hash; the name is enough.
    inputs: Mapping[str, InputSpec] = field(compare=False)
    # The largest difference from TensorFlow's answer, over its scale, that rounding explains.
    tolerance: float = 1e-4

    @property
    def folder(self) -> Path:
        return CACHE / self.name

    @property
    def saved_model(self) -> Path:
        return self.folder / "saved_model"

    @property
    def only_float32(self) -> bool:
        return all(spec.values in (uniform, pixels) for spec in self.inputs.values())


def photo(size: int) -> dict[str, InputSpec]:
    return {"image": InputSpec((size, size, 3))}


IMAGE = photo(224)
PIXELS = {"image": InputSpec((224, 224, 3), pixels)}
SERIES = {"series": InputSpec((64, 64))}
TEXT = {"tokens": InputSpec((200,), whole(20_000))}
PAST = InputSpec((4, 4, 127, 64))  # layers, heads, tokens so far, depth
# The sizes of wide_deep's vocabularies, which its tables and its inputs share.
VOCABULARY = {"country": 200, "device": 12, "item": 5000, "interest": 1000}

MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec("xy", "x + y, rows of 4", (1,), {"x": InputSpec((4,)), "y": InputSpec((4,))}),
        ModelSpec("mlp", "dense 64-128-128-10", (1,), {"features": InputSpec((64,))}),
        ModelSpec("mobilenet_v2", "MobileNetV2, 224x224", (1, 8), IMAGE),
        ModelSpec("resnet50", "ResNet50, 224x224", (1, 8), IMAGE),
        ModelSpec("efficientnet_b0", "EfficientNetB0, 224x224", (), IMAGE),
        ModelSpec(
            "encoder4",
            "transformer encoder: 4 layers, 256 wide, 4 heads, 128 steps",
            (),
            {"embedded": InputSpec((128, 256))},
        ),
        ModelSpec(
            "bert_base",
            "BERT-base: 12 layers, 768 wide, 12 heads, 128 tokens",
            (),
            {"tokens": InputSpec((128,), whole(30522)), "mask": InputSpec((128,), padding_mask)},
        ),
        ModelSpec("lstm", "2 x LSTM(128), 64 steps of 64", (), SERIES),
        ModelSpec("gru", "2 x GRU(128), 64 steps of 64", (), SERIES),
        ModelSpec(
            "wide_deep",
            "wide and deep: string lookups, hashed crosses, embeddings, numbers",
            (),
            {
                "country": InputSpec((1,), words("country", VOCABULARY["country"])),
                "device": InputSpec((1,), words("device", VOCABULARY["device"])),
                "item": InputSpec((1,), words("item", VOCABULARY["item"])),
                "interests": InputSpec((8,), words("interest", VOCABULARY["interest"])),
                "numbers": InputSpec((13,)),
            },
        ),
        ModelSpec("vgg16", "VGG16, 224x224", (), IMAGE),
        ModelSpec("densenet121", "DenseNet121, 224x224", (), IMAGE),
        ModelSpec("inception_v3", "InceptionV3, 299x299", (), photo(299)),
        ModelSpec("xception", "Xception, 299x299", (), photo(299)),
        ModelSpec("nasnet_mobile", "NASNetMobile, 224x224", (), IMAGE),
        ModelSpec("mobilenet_v3", "MobileNetV3Large, 224x224", (), PIXELS),
        ModelSpec("efficientnet_v2", "EfficientNetV2B0, 224x224", (), PIXELS),
        ModelSpec("convnext_tiny", "ConvNeXtTiny, 224x224", (), PIXELS),
        ModelSpec("regnet", "RegNetY002, 224x224 (tf_keras)", (), PIXELS),
        ModelSpec("unet", "U-Net: transposed convolutions, instance norms, 128x128", (), photo(128)),
        ModelSpec("detector", "SSD: three scales, boxes, non-maximum suppression, 160x160", (), photo(160)),
        ModelSpec("conv3d", "five Conv3D, 16 frames of 64x64", (), {"clip": InputSpec((16, 64, 64, 3))}),
        ModelSpec("wavenet", "ten dilated causal Conv1D, 1,024 steps", (), {"wave": InputSpec((1024, 1))}),
        ModelSpec("text_cnn", "embedding, Conv1D of 3, 4, 5, max over time (tf_keras)", (), TEXT),
        ModelSpec("bilstm", "embedding with a mask, Bidirectional(LSTM(64)) (tf_keras)", (), TEXT),
        ModelSpec(
            "decoder_step",
            "one token of a decoder: 4 layers, 256 wide, a cache of 127 tokens",
            (),
            {"token": InputSpec((1,), whole(8000)), "keys": PAST, "values": PAST},
        ),
        ModelSpec(
            "wide_table",
            "200 normalized numbers, 20 embedded categories, dense 512-256",
            (),
            {"numbers": InputSpec((200,)), "categories": InputSpec((20,), whole(100))},
        ),
        ModelSpec("float64_mlp", "mlp in float64", (), {"features": InputSpec((64,), uniform64)}, 1e-12),
        ModelSpec("float16_cnn", "MobileNetV2 0.5, 96x96, policy mixed_float16", (), photo(96), 0.03),
        ModelSpec(
            "bfloat16_encoder",
            "two layers of encoder4, policy mixed_bfloat16",
            (),
            {"embedded": InputSpec((128, 256))},
            0.1,
        ),
    )
}
COMPARED = tuple(name for name, spec in MODELS.items() if spec.batches)


@dataclass(frozen=True)
class InputFile:
    """One input of one case: raw little-endian float32 (.bin), which the C++ program reads too, or .npy."""

    name: str
    shape: Shape
    file: Path

    def arguments(self) -> list[str]:
        return ["--input", self.name, "x".join(map(str, self.shape)), str(self.file)]


def choose_models(parser: argparse.ArgumentParser, text: str, known: Iterable[str]) -> tuple[str, ...]:
    """The names in `text`; ends the program if one is not among `known`."""
    names = tuple(word.strip() for word in text.split(",") if word.strip())
    for name in names:
        if name not in known:
            parser.error(f"there is no {name!r}; choose from {', '.join(known)}")
    return names


def input_files(spec: ModelSpec, batch: int) -> list[InputFile]:
    """The same random inputs for every path; numbers are uniform in [-1, 1)."""
    random = np.random.default_rng(SEED)
    folder = spec.folder / "inputs"
    folder.mkdir(parents=True, exist_ok=True)
    result = []
    for name, one in spec.inputs.items():
        shape = (batch, *one.row)
        array = one.values(random, shape)
        floats = array.dtype == np.float32
        item = InputFile(name, shape, folder / f"{name}-batch{batch}{'.bin' if floats else '.npy'}")
        if floats:
            array.tofile(item.file)
        else:
            np.save(item.file, array)
        result.append(item)
    return result


def run_module(module: str, *arguments: str) -> str | None:
    """`python -m module ...` without a GPU. Returns the last line of its errors if it failed."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
    return lines[-1]


def ensure_model(spec: ModelSpec) -> str | None:
    """Make the model unless it is cached. Returns why it could not be made, or None."""
    if spec.saved_model.is_dir():
        return None
    reason = run_module("benchmarks.zoo", spec.name)
    return None if reason is None else f"the model could not be made: {reason}"
