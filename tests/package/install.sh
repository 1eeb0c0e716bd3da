#!/usr/bin/env bash
# Usage: install.sh BUILD MODEL. Installs the build into a prefix of its own, and uses it from there as services
# do: through CMake, through pkg-config, from a folder that it was moved to.
set -euo pipefail
build=$1
model=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

expect() {
  local found
  found=$(env -u LD_LIBRARY_PATH "${@:2}") || true
  [[ "$found" == $1 ]] || { echo "expected '$1', got '$found'" >&2; exit 1; }
}

cmake --install "$build" --prefix "$work/first" >/dev/null
test -z "$(grep -rl "$work\|$build" "$work/first/lib/cmake" "$work/first/lib/pkgconfig")"
mv "$work/first" "$work/prefix"

cmake -S "$here" -B "$work/consumer" -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null
cmake --build "$work/consumer" >/dev/null
expect "z = 2 2 2" "$work/consumer/consumer" "$model"
expect "FAILED_PRECONDITION: SAVEDMODEL_TENSORFLOW_DIR is '$work'*" \
  SAVEDMODEL_TENSORFLOW_DIR="$work" "$work/consumer/consumer" "$model"

if command -v pkg-config >/dev/null; then
  export PKG_CONFIG_PATH=$work/prefix/lib/pkgconfig
  # shellcheck disable=SC2046
  "${CXX:-c++}" -std=c++17 "$here/main.cc" -o "$work/program" $(pkg-config --cflags --libs savedmodel)
  expect "z = 2 2 2" "$work/program" "$model"
fi
