#!/usr/bin/env bash
# OpenVINO computes a model in float64 with the accuracy of float32, and types its result as float64.
#
# Versions: openvino 2026.4.1, tensorflow-cpu 2.21.0, numpy 2.4.6, x86-64.
# What happens: a SavedModel sums the squares of 1,000 float64 numbers. The model that OpenVINO reads has inputs and
# outputs of float64, and so has the compiled one. Its result is off by more than 1e-9 of the sum, where TensorFlow's is
# within 1e-14: the plugin for the CPU converts the graph to float32. No warning says so, and the execution mode ACCURACY
# changes nothing. Who compares engines on a scientific model sees the type of float64 and the digits of float32.
# Seen:
#   types: f64 f64
#   tensorflow: below 1e-14: True
#   openvino, default: float64, above 1e-9: True
#   openvino, accuracy: float64, above 1e-9: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet tensorflow-cpu==2.21.0 openvino==2026.4.1 numpy==2.4.6

cat >squares.py <<'CODE'
import math

import numpy as np
import openvino as ov
import tensorflow as tf


class Squares(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([1000], tf.float64, name="x")])
    def serve(self, x):
        return {"sum": tf.reduce_sum(x * x)}


module = Squares()
tf.saved_model.save(module, "model", signatures={"serving_default": module.serve})
x = np.random.default_rng(0).uniform(0.1, 1.0, 1000)
exact = math.fsum(float(value) ** 2 for value in x)


def error(value):
    return abs(float(value) - exact) / exact


core = ov.Core()
model = core.read_model("model")
print("types:", model.inputs[0].element_type.type_name, model.outputs[0].element_type.type_name)
served = tf.saved_model.load("model").signatures["serving_default"](x=tf.constant(x))["sum"]
print("tensorflow: below 1e-14:", error(served) < 1e-14)
mode = ov.properties.hint.ExecutionMode.ACCURACY
for name, config in {"default": {}, "accuracy": {ov.properties.hint.execution_mode: mode}}.items():
    result = core.compile_model(model, "CPU", config)([x])[0]
    print(f"openvino, {name}: {result.dtype}, above 1e-9:", error(result) > 1e-9)
CODE
export TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=-1
seen=$(venv/bin/python squares.py 2>errors.txt) || { cat errors.txt; exit 1; }
echo "$seen"
[ "$seen" = "types: f64 f64
tensorflow: below 1e-14: True
openvino, default: float64, above 1e-9: True
openvino, accuracy: float64, above 1e-9: True" ]
