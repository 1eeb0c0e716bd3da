#!/usr/bin/env bash
# A function of a loaded SavedModel that takes a dtype also takes a number for it: 1 is float32, 3 is int32.
#
# Versions: tensorflow-cpu 2.21.0, Python 3.
# What happens: which trace a call runs is decided with ==, and a DType equals its name and the number that stands for it
# in the protocol buffers. So f(x, 1) runs the trace of tf.float32, where one would expect an error. 2 stands for
# float64, which has no trace here.
# Seen:
#   tf.float32: float32
#   tf.int32: int32
#   'int32': int32
#   1: float32
#   3: int32
#   2: ValueError
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet tensorflow-cpu==2.21.0

cat >call.py <<'CODE'
import tensorflow as tf


class Module(tf.Module):
    @tf.function
    def cast(self, x, dtype):
        return tf.cast(x, dtype)


module = Module()
for dtype in (tf.float32, tf.int32):
    module.cast(tf.constant([1.5]), dtype)
tf.saved_model.save(module, "model")
loaded = tf.saved_model.load("model")
for given in (tf.float32, tf.int32, "int32", 1, 3, 2):
    try:
        result = loaded.cast(tf.constant([1.5]), given).dtype.name
    except Exception as error:
        result = type(error).__name__
    name = f"tf.{given.name}" if isinstance(given, tf.DType) else repr(given)
    print(f"{name}: {result}")
CODE
seen=$(TF_CPP_MIN_LOG_LEVEL=3 venv/bin/python call.py 2>/dev/null)
echo "$seen"
[ "$seen" = "tf.float32: float32
tf.int32: int32
'int32': int32
1: float32
3: int32
2: ValueError" ]
