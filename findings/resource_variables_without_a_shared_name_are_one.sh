#!/usr/bin/env bash
# In a graph, resource variables without a shared name are one variable; v1 variables, tables and queues are not.
#
# Versions: tensorflow-cpu 2.21.0 (the `tensorflow` wheel does the same), x86-64.
# What happens: the kernel of VarHandleOp looks its resource up by the attribute `shared_name` alone, which is empty by default.
# So two nodes `a` and `b` without it read and write one value, whatever their names, and no error is reported. VariableV2,
# MutableHashTableV2 and FIFOQueueV2 use the name of their node if the shared name is empty.
# Seen (a gets 1, then b gets 2; what is read from a and b):
#   VarHandleOp: 2 2
#   VarHandleOp with shared names: 1 2
#   VariableV2: 1 2
#   MutableHashTableV2: 1 2
#   FIFOQueueV2: 1 2
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet tensorflow-cpu==2.21.0

cat >names.py <<'CODE'
import tensorflow as tf

ops = tf.raw_ops


def resource(name, shared):
    handle = ops.VarHandleOp(dtype=tf.float32, shape=[], name=name, shared_name=name if shared else "")
    write = lambda value: ops.AssignVariableOp(resource=handle, value=tf.constant(value))
    return write, lambda: ops.ReadVariableOp(resource=handle, dtype=tf.float32)


def reference(name):
    variable = ops.VariableV2(shape=[], dtype=tf.float32, name=name)
    return lambda value: ops.Assign(ref=variable, value=tf.constant(value)), lambda: ops.Identity(input=variable)


def table(name):
    handle = ops.MutableHashTableV2(key_dtype=tf.int64, value_dtype=tf.float32, name=name)
    key = tf.constant([7], tf.int64)
    write = lambda value: ops.LookupTableInsertV2(table_handle=handle, keys=key, values=tf.constant([value]))
    return write, lambda: ops.LookupTableFindV2(table_handle=handle, keys=key, default_value=-1.0)[0]


def queue(name):
    handle = ops.FIFOQueueV2(component_types=[tf.float32], shapes=[[]], name=name)
    write = lambda value: ops.QueueEnqueueV2(handle=handle, components=[tf.constant(value)])
    return write, lambda: ops.QueueDequeueV2(handle=handle, component_types=[tf.float32])[0]


for title, make in (
    ("VarHandleOp", lambda name: resource(name, False)),
    ("VarHandleOp with shared names", lambda name: resource(name, True)),
    ("VariableV2", reference),
    ("MutableHashTableV2", table),
    ("FIFOQueueV2", queue),
):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        (write_a, read_a), (write_b, read_b) = make("a"), make("b")
        writes, reads = (write_a(1.0), write_b(2.0)), (read_a(), read_b())
        for write in writes:
            session.run(write)
        print(f"{title}:", *(f"{float(session.run(read)):g}" for read in reads))
CODE
TF_CPP_MIN_LOG_LEVEL=3 venv/bin/python names.py 2>errors | tee seen || { cat errors; exit 1; }
grep '^#   ' "$0" | sed 's/^#   //' | diff - seen
