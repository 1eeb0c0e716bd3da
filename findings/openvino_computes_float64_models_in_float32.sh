#!/bin/sh
# OpenVINO runs a TensorFlow model in float64 with the accuracy of float32, and types its result as float64.
#
# Versions: tensorflow-cpu 2.21.0, openvino 2026.4.1, on x86-64.
# A sum of squares of 1,000 float64 numbers as a SavedModel, read by openvino.Core().read_model and compiled for
# the CPU. Input and output of the compiled model are float64 ("f64"), as in the SavedModel. No warning is given,
# and the hint ExecutionMode ACCURACY changes nothing. TensorFlow's result is within 1e-15 of Python's exact
# fsum; OpenVINO's is off by more than 1e-9, as its kernels for the CPU convert the graph to float32.
# Who compares engines, or serves a model that needs float64, sees the type of float64 and digits of float32.
#
# Output seen:
#   types: f64 f64
#   tensorflow: relative error below 1e-14: True
#   openvino (default): relative error above 1e-9: True
#   openvino (accuracy): relative error above 1e-9: True
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q 'tensorflow-cpu==2.21.0' 'openvino==2026.4.1'
cat > "$folder/run.py" <<'PY'
import math, sys

import numpy as np
import openvino as ov
import tensorflow as tf

folder = sys.argv[1] + "/model"


class Squares(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([1000], tf.float64, name="x")])
    def serve(self, x):
        return {"sum": tf.reduce_sum(x * x)}


module = Squares()
tf.saved_model.save(module, folder, signatures={"serving_default": module.serve})
x = np.random.default_rng(0).uniform(0.1, 1.0, 1000)
exact = math.fsum(float(v) ** 2 for v in x)


def error(value):
    return abs(float(value) - exact) / exact


core = ov.Core()
model = core.read_model(folder)
print("types:", model.inputs[0].element_type.type_name, model.outputs[0].element_type.type_name)
served = tf.saved_model.load(folder).signatures["serving_default"](x=tf.constant(x))["sum"]
print("tensorflow: relative error below 1e-14:", error(served) < 1e-14)
modes = {"default": {}, "accuracy": {ov.properties.hint.execution_mode: ov.properties.hint.ExecutionMode.ACCURACY}}
for name, config in modes.items():
    result = core.compile_model(model, "CPU", config)([x])[0]
    assert result.dtype == np.float64, result.dtype
    print(f"openvino ({name}): relative error above 1e-9:", error(result) > 1e-9)
PY
export TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=-1
"$folder/venv/bin/python" "$folder/run.py" "$folder" 2> "$folder/errors" > "$folder/output" || { cat "$folder/errors"; exit 1; }
cat "$folder/output"
diff "$folder/output" - <<'EXPECTED'
types: f64 f64
tensorflow: relative error below 1e-14: True
openvino (default): relative error above 1e-9: True
openvino (accuracy): relative error above 1e-9: True
EXPECTED
