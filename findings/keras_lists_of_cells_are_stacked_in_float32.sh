#!/usr/bin/env bash
# Keras 3's RNN of a list of cells stacks them in the global float type, whatever dtype it was given.
#
# Versions: keras 3.15.1, tensorflow-cpu 2.21.0, numpy 2.4.6, x86-64.
# What happens: RNN([cell, cell], dtype="float64") makes a StackedRNNCells without a dtype, which is float32 unless the
# global type is another one. It rounds its inputs to float32 on the way, in silence: the result is of float64 and off by
# 1e-8. With a mask, zeros of float32 meet states of float64, and the call fails. A StackedRNNCells that is made by hand,
# with the dtype, has neither fault.
# Seen:
#   the stack's dtype: float32, the layer's: float64
#   result: float64, off by more than 1e-10: True
#   with a mask: InvalidArgumentError
#   stacked by hand, with a mask: float64
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet tensorflow-cpu==2.21.0 keras==3.15.1 numpy==2.4.6

cat >stack.py <<'CODE'
import keras
import numpy as np


def cells():
    layers = keras.layers
    return [layers.GRUCell(3, dtype="float64"), layers.SimpleRNNCell(2, dtype="float64")]


x = np.random.default_rng(0).normal(size=(2, 4, 5))
mask = np.array([[True, True, False, True]] * 2)
listed = keras.layers.RNN(cells(), dtype="float64")
stacked = keras.layers.RNN(keras.layers.StackedRNNCells(cells(), dtype="float64"), dtype="float64")
result = np.asarray(listed(x))
stacked.build(x.shape)
stacked.set_weights(listed.get_weights())
print(f"the stack's dtype: {listed.cell.compute_dtype}, the layer's: {listed.compute_dtype}")
print(f"result: {result.dtype}, off by more than 1e-10: {np.abs(result - np.asarray(stacked(x))).max() > 1e-10}")
try:
    print("with a mask:", listed(x, mask=mask).dtype.name)
except Exception as error:
    print("with a mask:", type(error).__name__)
print("stacked by hand, with a mask:", stacked(x, mask=mask).dtype.name)
CODE
export TF_CPP_MIN_LOG_LEVEL=3
seen=$(venv/bin/python stack.py 2>errors.txt) || { cat errors.txt; exit 1; }
echo "$seen"
[ "$seen" = "the stack's dtype: float32, the layer's: float64
result: float64, off by more than 1e-10: True
with a mask: InvalidArgumentError
stacked by hand, with a mask: float64" ]
