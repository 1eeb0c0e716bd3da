#!/usr/bin/env bash
# In a tf.function, the larger of x and 1.25 * x becomes the smaller one.
#
# Versions: tensorflow-cpu 2.21.0 (the `tensorflow` wheel does the same), x86-64, oneDNN on as by default.
# What happens: the graph optimizer (the remapper) puts a LeakyRelu with slope a where it finds max(x, a * x) with a scalar
# constant `a`, whatever its value. Up to 1 both are the same. Above 1 a LeakyRelu is the smaller of the two, for every x.
# Op by op, in float16 and float64, and for constants of several elements, the result is right; so is it while `a` is a
# variable, until an exporter or a runtime freezes that variable.
# Seen (x is -1, 2):
#   float32, slope 0.5: eager -0.5 2, tf.function -0.5 2
#   float32, slope 1.25: eager -1 2.5, tf.function -1.25 2
#   bfloat16, slope 1.25: eager -1 2.5, tf.function -1.25 2
#   float64, slope 1.25: eager -1 2.5, tf.function -1 2.5
#   float32, slope 1.25, a variable: eager -1 2.5, tf.function -1 2.5
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet tensorflow-cpu==2.21.0

cat >larger.py <<'CODE'
import tensorflow as tf

for type_, slope, variable in (
    (tf.float32, 0.5, False),
    (tf.float32, 1.25, False),
    (tf.bfloat16, 1.25, False),
    (tf.float64, 1.25, False),
    (tf.float32, 1.25, True),
):
    kept = tf.Variable(slope, dtype=type_)

    def larger(x):
        return tf.maximum(x, x * (kept if variable else tf.constant(slope, type_)))

    x = tf.constant([-1.0, 2.0], type_)
    eager, graph = (" ".join(f"{float(v):g}" for v in f(x)) for f in (larger, tf.function(larger)))
    name = f"{type_.name}, slope {slope}" + (", a variable" if variable else "")
    print(f"{name}: eager {eager}, tf.function {graph}")
CODE
seen=$(TF_CPP_MIN_LOG_LEVEL=3 venv/bin/python larger.py 2>errors.txt) || { cat errors.txt; exit 1; }
echo "$seen"
[ "$seen" = "float32, slope 0.5: eager -0.5 2, tf.function -0.5 2
float32, slope 1.25: eager -1 2.5, tf.function -1.25 2
bfloat16, slope 1.25: eager -1 2.5, tf.function -1.25 2
float64, slope 1.25: eager -1 2.5, tf.function -1 2.5
float32, slope 1.25, a variable: eager -1 2.5, tf.function -1 2.5" ]
