#!/usr/bin/env bash
# All tests: installs the package into the current Python environment, then linters, Python and C++ suites.
# The C++ suite needs GoogleTest (Debian: libgtest-dev) and is left out, saying so, where there is none.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Package and C++ suite are compiled once, in one folder. An isolated build would delete the TensorFlow that the
# suite needs.
build=build/tests
python -m pip install "scikit-build-core>=0.10" "pybind11>=3.0,<4" "tensorflow==2.21.*" cmake ninja
rm -rf build/wheel
python -m pip wheel --no-build-isolation --no-deps -w build/wheel -C build-dir="$build" -C cmake.define.SAVEDMODEL_WERROR=ON .
python -m pip install --force-reinstall --no-deps build/wheel/savedmodel-*.whl
python -m pip install "$(echo build/wheel/savedmodel-*.whl)[test]"
ruff check .
ruff format --check .
mypy
git ls-files '*.h' '*.cc' '*.cpp' | xargs clang-format --dry-run --Werror

cmake -S . -B "$build" -DSAVEDMODEL_PYTHON=OFF -DSAVEDMODEL_TESTS=ON -DSAVEDMODEL_PREFIX=
# The C++ suite is compiled on the cores that the Python suite leaves idle.
nice -n 19 cmake --build "$build" >"$build/build.log" 2>&1 &
compiler=$!
trap 'kill "$compiler" 2>/dev/null || true' EXIT
python -m pytest "$@"
wait "$compiler" || { tail -n 100 "$build/build.log"; exit 1; }
ctest --test-dir "$build" --output-on-failure
