#!/usr/bin/env bash
# In a session (TensorFlow 1's, the C++ loader's, TensorFlow Serving's) a layer norm gets an epsilon of 0.001, whatever it says.
#
# Versions: tensorflow-cpu 2.21.0 (the `tensorflow` wheel does the same), x86-64, oneDNN on as by default.
# What happens: the graph optimizer (the remapper) puts one op where it finds a layer norm written out. If the axis is counted
# from the first (1 of a matrix, as `tf.range(begin, rank)` gives it) and not from the last (-1), the op gets no epsilon, and
# its default is 0.001. BERT's 1e-12 and whatever else becomes that. With -1, with the optimizer off, and in a tf.function of
# the same, the result is right.
# Seen (differences from NumPy's):
#   axis -1, epsilon 0.1: session 0.00, tf.function 0.00
#   axis 1, epsilon 0.1: session 0.30, tf.function 0.00
#   axis 1, epsilon 0.001: session 0.00, tf.function 0.00
#   axis 1, epsilon 0.1, optimizer off: session 0.00, tf.function 0.00
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet tensorflow-cpu==2.21.0

cat >norm.py <<'CODE'
import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
rows = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
scale, offset = np.linspace(0.5, 1.5, 8, dtype=np.float32), np.linspace(-1, 1, 8, dtype=np.float32)
centred = rows - rows.mean(1, keepdims=True)


def norm(x, axis, epsilon, scale, offset):
    mean = tf.reduce_mean(x, axis, keepdims=True)
    variance = tf.reduce_mean(tf.math.squared_difference(x, mean), axis, keepdims=True)
    return (x - mean) * tf.math.rsqrt(variance + epsilon) * scale + offset


for axis, epsilon, off in ((-1, 0.1, False), (1, 0.1, False), (1, 0.001, False), (1, 0.1, True)):
    right = centred / np.sqrt((centred**2).mean(1, keepdims=True) + np.float32(epsilon)) * scale + offset
    config = v1.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = off
    with tf.Graph().as_default(), v1.Session(config=config) as session:
        x = v1.placeholder(tf.float32, (None, 8))
        kept = [v1.Variable(value, use_resource=True) for value in (scale, offset)]
        y = tf.identity(norm(x, axis, epsilon, *kept))
        session.run(v1.global_variables_initializer())
        ours = session.run(y, {x: rows})
    variables = [tf.Variable(value) for value in (scale, offset)]
    function = tf.function(lambda x: norm(x, axis, epsilon, *variables))(tf.constant(rows)).numpy()
    differences = [float(np.abs(result - right).max()) for result in (ours, function)]
    name = f"axis {axis}, epsilon {epsilon}" + (", optimizer off" if off else "")
    print(f"{name}: session {differences[0]:.2f}, tf.function {differences[1]:.2f}")
CODE
seen=$(TF_CPP_MIN_LOG_LEVEL=3 venv/bin/python norm.py 2>errors.txt) || { cat errors.txt; exit 1; }
echo "$seen"
[ "$seen" = "axis -1, epsilon 0.1: session 0.00, tf.function 0.00
axis 1, epsilon 0.1: session 0.30, tf.function 0.00
axis 1, epsilon 0.001: session 0.00, tf.function 0.00
axis 1, epsilon 0.1, optimizer off: session 0.00, tf.function 0.00" ]
