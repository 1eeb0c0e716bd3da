#!/usr/bin/env bash
# Most of the resident memory of a process that runs a small TensorFlow graph is clean pages of two libraries, which
# opening them touched and no call needs again.
#
# Versions: tensorflow-cpu 2.21.0 (the `tensorflow` wheel does the same), x86-64, Linux.
# What happens: the dynamic linker reads the symbol tables and relocations of libtensorflow_cc.so.2 and
# libtensorflow_framework.so.2 from end to end, and the start-up code of thousands of ops and kernels runs once. These pages
# are mapped from the files and never written, so the kernel can drop them, and does not while there is memory. If the program
# drops them itself (madvise with MADV_DONTNEED on the segments that are not writable), the next call brings back a few.
# Seen:
#   read-only pages of the two libraries after the first call: more than 200 MB
#   after they were dropped, and the call repeated: less than 60 MB
#   the same result: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet tensorflow-cpu==2.21.0

cat >pages.py <<'CODE'
import ctypes

import numpy as np
import tensorflow as tf

LIBRARIES = ("libtensorflow_cc.so.2", "libtensorflow_framework.so.2")
MADV_DONTNEED = 4


def segments():
    """(begin, end, resident bytes) of what is mapped from the libraries and can't be written."""
    found, ours = [], False
    for line in open("/proc/self/smaps"):
        words = line.split()
        if "-" in words[0]:
            ours = words[-1].endswith(LIBRARIES) and "w" not in words[1]
            begin, end = (int(word, 16) for word in words[0].split("-"))
        elif ours and words[0] == "Rss:":
            found.append((begin, end, int(words[1]) * 1024))
    return found


def resident_mb():
    return sum(size for _, _, size in segments()) / 2**20


# The part that the linker protected after relocation is not writable now, and was written to.
def was_written(begin):
    dirty, here = 0, False
    for line in open("/proc/self/smaps"):
        words = line.split()
        if "-" in words[0]:
            here = int(words[0].split("-")[0], 16) == begin
        elif here and words[0] in ("Private_Dirty:", "Shared_Dirty:"):
            dirty += int(words[1])
    return dirty > 0


@tf.function(input_signature=[tf.TensorSpec([None, 4])])
def f(x):
    return tf.nn.relu(tf.matmul(x, tf.ones([4, 4])))


x = tf.constant(np.arange(8, dtype=np.float32).reshape(2, 4))
first = f(x).numpy()
before = resident_mb()
libc = ctypes.CDLL(None)
for begin, end, _ in segments():
    if not was_written(begin):
        assert libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), MADV_DONTNEED) == 0
again = f(x).numpy()
after = resident_mb()
print("read-only pages of the two libraries after the first call:", "more" if before > 200 else "less", "than 200 MB")
print("after they were dropped, and the call repeated:", "more" if after > 60 else "less", "than 60 MB")
print("the same result:", np.array_equal(first, again))
print(f"{before:.0f} {after:.0f} MB", file=__import__("sys").stderr)
CODE
TF_CPP_MIN_LOG_LEVEL=3 venv/bin/python pages.py 2>errors | tee seen || { cat errors; exit 1; }
tail -1 errors >&2
grep '^#   ' "$0" | sed 's/^#   //' | diff - seen
