"""Make the named models. A model appears in the cache only when it is complete."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from ..models import MODELS
from . import convolutional, precision, recommend, sequence, simple, transformer, vision

MAKERS: dict[str, Callable[[Path], None]] = {
    "xy": simple.make_xy,
    "mlp": simple.make_mlp,
    **{name: vision.maker(name) for name in vision.APPLICATIONS},
    "encoder4": transformer.make_encoder4,
    "bert_base": transformer.make_bert_base,
    "lstm": sequence.maker("lstm", "LSTM"),
    "gru": sequence.maker("gru", "GRU"),
    "wide_deep": recommend.make_wide_deep,
    "unet": convolutional.make_unet,
    "detector": convolutional.make_detector,
    "conv3d": convolutional.make_conv3d,
    "wavenet": convolutional.make_wavenet,
    "text_cnn": convolutional.make_text_cnn,
    "bilstm": sequence.make_bilstm,
    "decoder_step": transformer.make_decoder_step,
    "wide_table": recommend.make_wide_table,
    "float64_mlp": precision.make_float64_mlp,
    "float16_cnn": precision.make_float16_cnn,
    "bfloat16_encoder": precision.make_bfloat16_encoder,
}


def make(name: str) -> None:
    target = MODELS[name].saved_model
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"unfinished-{os.getpid()}")
    try:
        MAKERS[name](unfinished)
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


if __name__ == "__main__":
    for model_name in sys.argv[1:]:
        make(model_name)
