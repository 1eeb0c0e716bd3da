#!/usr/bin/env bash
# A convolution of a batch without images has the shape of its input, not that of its result.
#
# Versions: tensorflow-cpu 2.21.0 (the `tensorflow` wheel does the same), x86-64, oneDNN on as by default.
# What happens: where the input has no elements, oneDNN's kernel for Conv2D gives an output of the input's shape: channels
# and, with strides, height and width are wrong. What comes behind (a bias, a matrix product) fails or goes wrong in turn. In
# float64, in which oneDNN takes no part, and with TF_ENABLE_ONEDNN_OPTS=0 the shape is right.
# Seen ([0, 5, 5, 2] with 4 filters, strides 2):
#   float32: (0, 5, 5, 2)
#   float64: (0, 3, 3, 4)
#   float32, one image: (1, 3, 3, 4)
#   float32, TF_ENABLE_ONEDNN_OPTS=0: (0, 3, 3, 4)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet tensorflow-cpu==2.21.0

cat >convolve.py <<'CODE'
import sys

import tensorflow as tf


def shape(type_, images):
    x, filters = tf.zeros((images, 5, 5, 2), type_), tf.ones((3, 3, 2, 4), type_)
    return tf.nn.conv2d(x, filters, 2, "SAME").shape


if sys.argv[1:]:
    print(f"float32, TF_ENABLE_ONEDNN_OPTS=0: {shape(tf.float32, 0)}")
else:
    print(f"float32: {shape(tf.float32, 0)}")
    print(f"float64: {shape(tf.float64, 0)}")
    print(f"float32, one image: {shape(tf.float32, 1)}")
CODE
export TF_CPP_MIN_LOG_LEVEL=3
seen=$(venv/bin/python convolve.py 2>errors.txt && TF_ENABLE_ONEDNN_OPTS=0 venv/bin/python convolve.py off 2>errors.txt) ||
  { cat errors.txt; exit 1; }
echo "$seen"
[ "$seen" = "float32: (0, 5, 5, 2)
float64: (0, 3, 3, 4)
float32, one image: (1, 3, 3, 4)
float32, TF_ENABLE_ONEDNN_OPTS=0: (0, 3, 3, 4)" ]
