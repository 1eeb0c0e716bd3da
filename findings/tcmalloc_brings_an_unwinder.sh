#!/usr/bin/env bash
# gperftools' libtcmalloc.so.4, preloaded for its allocator, also replaces the C++ unwinder of a Python process.
#
# Versions: Debian 12, libgoogle-perftools4 2.10-1, libtcmalloc-minimal4 2.10-1, libunwind8 1.6.2-3, python3 3.11.
# What happens: libtcmalloc.so.4 needs libunwind.so.8 for its heap profiler, and libunwind defines _Unwind_RaiseException
# and its relatives under the names of libgcc_s. A C program such as python3 does not link libgcc_s itself, so libunwind is
# the one in the global scope, and leads every `throw` of every C++ extension. libtcmalloc_minimal.so.4 changes the
# allocator only. A library that is opened with RTLD_DEEPBIND still finds libgcc_s first: an exception that crosses its
# border meets two unwinders.
# Seen, who has _Unwind_RaiseException after `import _ctypes` and libstdc++:
#   no allocator: nobody
#   libtcmalloc_minimal.so.4: libgcc_s.so.1
#   libtcmalloc.so.4: libunwind.so.8
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

apt-get download -qq libgoogle-perftools4=2.10-1 libtcmalloc-minimal4=2.10-1 libunwind8=1.6.2-3 2>/dev/null
for package in *.deb; do dpkg -x "$package" root; done
libraries=$(dirname "$(find "$folder/root" -name libtcmalloc.so.4 | head -n 1)")

cat >who.py <<'CODE'
import ctypes


class Info(ctypes.Structure):
    _fields_ = [("file", ctypes.c_char_p), ("base", ctypes.c_void_p), ("name", ctypes.c_char_p), ("at", ctypes.c_void_p)]


ctypes.CDLL("libstdc++.so.6")
everybody = ctypes.CDLL(None)
info = Info()
try:
    function = ctypes.cast(everybody._Unwind_RaiseException, ctypes.c_void_p)
except AttributeError:
    print("nobody")
else:
    everybody.dladdr(function, ctypes.byref(info))
    print(info.file.decode().rsplit("/", 1)[-1])
CODE

seen=$(
  echo "no allocator: $(/usr/bin/python3 who.py)"
  for name in libtcmalloc_minimal.so.4 libtcmalloc.so.4; do
    echo "$name: $(LD_LIBRARY_PATH="$libraries" LD_PRELOAD="$libraries/$name" /usr/bin/python3 who.py)"
  done
)
echo "$seen"
[ "$seen" = "no allocator: nobody
libtcmalloc_minimal.so.4: libgcc_s.so.1
libtcmalloc.so.4: libunwind.so.8" ]
