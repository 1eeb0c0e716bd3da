#!/usr/bin/env bash
# A Keras model with image augmentation inside, called without `training`, augments and runs its batch norms in training
# mode; each call changes its weights. Exports of it do the same in production.
#
# Versions: keras 3.15.1, jax 0.10.2, JAX backend (the TensorFlow backend does the same).
# What happens: RandomFlip and the other image augmentation layers have `training=True` as default. A functional model
# passes a layer's `training` on to the layers behind it, so BatchNormalization normalizes by the batch and updates its moving
# statistics. `predict`, which says training=False, does not; `model.export` traces the call without it.
# Noise layers (GaussianNoise, Dropout) have no such default.
# Seen:
#   no augmentation: mean of the result 131, moving mean changed: False
#   RandomFlip: mean of the result 0, moving mean changed: True
#   RandomFlip, training=False: mean of the result 131, moving mean changed: False
#   GaussianNoise: mean of the result 131, moving mean changed: False
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet keras==3.15.1 jax==0.10.2

cat >augment.py <<'CODE'
import keras
import numpy as np

layers = keras.layers
image = np.random.default_rng(1).uniform(0, 255, (1, 8, 8, 3)).astype("float32")
for name, layer, how in (
    ("no augmentation", None, {}),
    ("RandomFlip", layers.RandomFlip(seed=1), {}),
    ("RandomFlip, training=False", layers.RandomFlip(seed=1), {"training": False}),
    ("GaussianNoise", layers.GaussianNoise(1.0, seed=1), {}),
):
    x = inputs = keras.Input((8, 8, 3))
    if layer is not None:
        x = layer(x, **how)
    norm = layers.BatchNormalization()
    model = keras.Model(inputs, norm(x))
    mean = abs(float(np.mean(model(image))))
    changed = bool(np.any(np.asarray(norm.moving_mean) != 0))
    print(f"{name}: mean of the result {mean:.0f}, moving mean changed: {changed}")
CODE
seen=$(KERAS_BACKEND=jax venv/bin/python augment.py)
echo "$seen"
[ "$seen" = "no augmentation: mean of the result 131, moving mean changed: False
RandomFlip: mean of the result 0, moving mean changed: True
RandomFlip, training=False: mean of the result 131, moving mean changed: False
GaussianNoise: mean of the result 131, moving mean changed: False" ]
