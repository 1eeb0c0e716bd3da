"""Train a classifier with Keras, serve it with savedmodel, and check the answers and the speed.

    pip install '.[demo]'  # in the checkout
    python examples/digits.py

The model stays in models/digits, and its Keras file in models/digits.keras.

Everything that needs TensorFlow's Python package (training, export, the reference answers) runs in
child processes. This process loads the SavedModel with `savedmodel` and never imports TensorFlow.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

COLD_RUNS = 3
TIMED_CALLS = 2000
WIDTH = 72
MODEL = Path("models", "digits")


# --- In child processes: TensorFlow Python ----------------------------------------------------


def train(folder: Path) -> None:
    """Fit a small convolutional network on the training images and export it."""
    import keras

    keras.utils.set_random_seed(1)
    data = np.load(folder / "train.npz")
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, padding="same", activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(10, activation="softmax", name="probabilities"),
        ]
    )
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    model.fit(data["images"], data["labels"], batch_size=64, epochs=15, verbose=0)
    MODEL.parent.mkdir(exist_ok=True)
    model.save(MODEL.with_suffix(".keras"))
    model.export(str(MODEL), verbose=False)


def reference(folder: Path) -> None:
    """TensorFlow Python's own answers for the held-out images, and its time for one image."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(MODEL))
    function = loaded.signatures["serving_default"]
    (name,) = function.structured_input_signature[1]
    images = np.load(folder / "test.npy")
    (answers,) = function(**{name: tf.constant(images)}).values()
    np.save(folder / "reference.npy", answers.numpy())

    def call() -> object:
        results = function(**{name: tf.constant(images[:1])})
        return {key: tensor.numpy() for key, tensor in results.items()}

    print(json.dumps({"us": microseconds(call)}))


def first_tensorflow(folder: Path) -> None:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(MODEL))
    function = loaded.signatures["serving_default"]
    (name,) = function.structured_input_signature[1]
    (answer,) = function(**{name: tf.constant(np.load(folder / "test.npy")[:1])}).values()
    print_first(answer.numpy())


def first_savedmodel(folder: Path) -> None:
    import savedmodel as sm

    model = sm.load(MODEL)
    (answer,) = model(np.load(folder / "test.npy")[:1]).values()
    print_first(answer)


def print_first(answer: Any) -> None:
    """The first class, and the most memory (MB) that this process has held."""
    status = Path("/proc/self/status").read_text()
    peak_kb = int(status.split("VmHWM:")[1].split()[0])
    print(json.dumps({"digit": int(answer.argmax()), "mb": peak_kb / 1024}), flush=True)


CHILDREN: dict[str, Callable[[Path], None]] = {
    "train": train,
    "reference": reference,
    "first-tensorflow": first_tensorflow,
    "first-savedmodel": first_savedmodel,
}


def child(job: str, folder: Path) -> tuple[dict[str, float], float]:
    """Run one of CHILDREN in a new process: what it printed first, and after how many seconds."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    with tempfile.TemporaryFile("w+") as noise:
        start = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, __file__, job, str(folder)],
            stdout=subprocess.PIPE,
            stderr=noise,
            env=environment,
            text=True,
        ) as process:
            line = process.stdout.readline() if process.stdout else ""
            seconds = time.perf_counter() - start
        if process.returncode != 0:
            noise.seek(0)
            sys.exit(f"\nThe child process '{job}' failed:\n{noise.read()[-2000:]}")
    return json.loads(line or "{}"), seconds


# --- In this process: savedmodel --------------------------------------------------------------


def microseconds(call: Callable[[], object]) -> float:
    """The median time of one call, after some uncounted ones."""
    for _ in range(TIMED_CALLS // 10):
        call()
    times = []
    for _ in range(TIMED_CALLS):
        start = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - start)
    return median(times) / 1000


@contextmanager
def step(text: str) -> Iterator[None]:
    """Show what is going on, then how long it took."""
    print(f"  {text} ".ljust(WIDTH - 9, "."), end=" ", flush=True)
    start = time.perf_counter()
    yield
    print(f"{time.perf_counter() - start:6.2f} s", flush=True)


def prepare_data(folder: Path) -> Any:
    """Write the images for the child processes; return the labels of the held-out ones."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = (digits.images[..., np.newaxis] / 16.0).astype(np.float32)
    kept, held_out, labels, answers = train_test_split(
        images, digits.target, test_size=0.25, stratify=digits.target, random_state=0
    )
    np.savez(folder / "train.npz", images=kept, labels=labels)
    np.save(folder / "test.npy", held_out)
    return answers


def row(name: str, us: float, seconds: float, mb: float, base: tuple[float, float, float]) -> str:
    """One line of the table; the gain over TensorFlow Python in parentheses."""

    def gain(value: float, reference: float) -> str:
        return "" if value == reference else f"({reference / value:.1f}x)"

    return (
        f"  {name:<20}{us:9.1f} us {gain(us, base[0]):<8}"
        f"{seconds:7.2f} s {gain(seconds, base[1]):<8}{mb:6.0f} MB"
    )


def main() -> None:
    print("Handwritten digits: trained with Keras, served with savedmodel\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with step("read the data (scikit-learn)"):
            labels = prepare_data(folder)
        with step("train and export (Keras, child process)"):
            child("train", folder)
        with step("reference answers (TensorFlow Python, child process)"):
            tensorflow_us = child("reference", folder)[0]["us"]

        # The part to copy: load, look at the signature, call.
        with step("load and classify the held-out images (savedmodel)"):
            import savedmodel as sm

            model = sm.load(MODEL)
            images = np.load(folder / "test.npy")
            (probabilities,) = model(images).values()

        with step("time calls with one image (savedmodel)"):
            function = model.signatures["serving_default"]
            (input_name,) = function.inputs
            (output_name,) = function.outputs
            image = sm.empty((1, 8, 8, 1), np.float32)  # aligned, so a call reads it in place
            image[...] = images[:1]
            buffer = sm.empty((1, 10), np.float32)
            feeds, out = {input_name: image}, {output_name: buffer}
            plain_us = microseconds(lambda: function(**feeds))
            out_us = microseconds(lambda: function.run(feeds, out=out))

        starts: dict[str, list[tuple[float, float]]] = {
            "first-tensorflow": [],
            "first-savedmodel": [],
        }
        with step(f"start each {COLD_RUNS} times (child processes)"):
            for _ in range(COLD_RUNS):
                for job, found in starts.items():
                    report, seconds = child(job, folder)
                    found.append((seconds, report["mb"]))
        expected = np.load(folder / "reference.npy")

    classes, agreed = probabilities.argmax(axis=1), expected.argmax(axis=1)
    same = int((classes == agreed).sum())
    imported = "yes" if "tensorflow" in sys.modules else "no"
    print(f"\n  images held out                          {len(labels)}")
    print(f"  accuracy                                 {(classes == labels).mean():.1%}")
    print(f"  same class as TensorFlow Python          {same} of {len(labels)}")
    print(f"  largest difference of a probability      {np.abs(probabilities - expected).max():.1e}")
    print(f"  tensorflow imported by this process      {imported}")

    cold = {
        job: (median(second for second, _ in found), median(mb for _, mb in found))
        for job, found in starts.items()
    }
    theirs, ours = cold["first-tensorflow"], cold["first-savedmodel"]
    base = (tensorflow_us, *theirs)
    print(f"\n  {'':<20}{'one image':>12}{'cold start':>20}{'memory':>15}")
    print(row("TensorFlow Python", *base, base))
    print(row("savedmodel", plain_us, *ours, base))
    print(row("savedmodel, out=", out_us, *ours, base))
    print("\n  One image: median of one call. Cold start: process start to first answer.")
    print(f"  The model is in {MODEL}: try `savedmodel show {MODEL}`")
    if same != len(labels):
        sys.exit("\nThe classes differ from TensorFlow Python's.")


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] in CHILDREN:
        CHILDREN[sys.argv[1]](Path(sys.argv[2]))
    else:
        main()
