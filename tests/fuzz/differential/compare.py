"""Whether two paths gave the same, as far as float32 can."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from .recipe import Array, Outcome, Recipe

FLOOR = {"float32": 1e-6, "float64": 1e-13, "float16": 2e-3, "bfloat16": 1.6e-2}
"""Differences over the output's scale that are never a fault: a few roundings."""
WITHOUT_EXACT = 2e-5
"""The same, from TensorFlow, where there is no float64 to measure TensorFlow's own error with."""
CHAOTIC = 1e-4
"""A rounding that moves an output so much, over its scale, was amplified a thousandfold."""
LARGE = {"float32": 1e37, "float64": 1e307, "float16": 3e4, "bfloat16": 1e37}
"""From here on a value, or what it is made of, may leave the type's range."""


class Finding(TypedDict):
    path: str
    kind: str  # "values", "places", "shape", "dtype", "refused", "answered", "outputs", "death", "hang"
    call: int
    output: str
    what: str


def _spreads(recipe: Recipe) -> bool:
    """Whether an infinity may reach the tile around it, as the documentation says of 3x3 convolutions."""
    return any(s["op"] in ("conv", "residual", "join") for s in recipe["steps"])


def _spreads_and_is_clipped(recipe: Recipe) -> bool:
    """Whether a number may be what a clip made of such an infinity."""
    infinite = any("inf" in given["special"] for given in recipe["inputs"])
    return infinite and _spreads(recipe) and _loses_nan(recipe)


CLIPPED = {"relu", "relu6", "hard_sigmoid", "hard_sigmoid_0.2", "hard_swish", "capped"}
FUSED = ("conv", "depthwise", "separable", "bottleneck", "squeeze", "residual", "join", "dense")


def _loses_nan(recipe: Recipe) -> bool:
    """Whether TensorFlow may put an activation into an op before it that takes a NaN for a number."""
    steps = [s for s in recipe["steps"] if s["op"].startswith(FUSED)]
    clips = any(not CLIPPED.isdisjoint(map(str, s["options"].values())) for s in steps)
    return clips or any(s["op"] in ("bottleneck", "residual") for s in steps)  # which have one by default


def _values(
    ours: Array,
    theirs: Array,
    exact: Array | None,
    shaken: list[Array],
    plain: Array | None,
    nudged: list[tuple[Array, Array]],
    dtype: str,
    spreads: bool,
    loses: bool,
) -> tuple[str, str] | None:
    """The kind of a difference, and the difference; none if there is none."""
    if theirs.dtype.kind not in "fV":
        return (
            None
            if np.array_equal(ours, theirs)
            else ("values", f"{ours.ravel()[:5]} and {theirs.ravel()[:5]}")
        )
    mine, reference = ours.astype(np.float64), theirs.astype(np.float64)
    finite = np.isfinite(reference)
    free = np.zeros(finite.shape, bool)
    if exact is not None:
        # What leaves float32's range does so early or late.
        free = (
            (~finite & np.isfinite(exact)) | (finite & ~np.isfinite(exact)) | (np.abs(exact) > LARGE[dtype])
        )
        for moved_values in shaken:
            free |= np.isfinite(exact) != np.isfinite(moved_values)
    wrong = (np.isfinite(mine) & ~finite) | (~spreads & ~np.isfinite(mine) & finite)
    wrong |= ~finite & (np.isnan(mine) != np.isnan(reference)) & (not spreads)
    if loses:
        wrong &= ~(np.isnan(reference) & np.isfinite(mine))
    for right in (exact, plain):
        # Not where it is as op by op: TensorFlow's optimizer may lose what is not finite.
        if right is not None:
            there = right.astype(np.float64)
            wrong &= ~((np.isnan(mine) == np.isnan(there)) & (np.isinf(mine) == np.isinf(there)))
    with np.errstate(invalid="ignore"):
        wrong |= np.isinf(reference) & np.isinf(mine) & (mine != reference)
    if (wrong & ~free).any():
        at = tuple(int(i) for i in np.argwhere(wrong & ~free)[0])
        return "places", f"at {at} {mine[at]} and {reference[at]}, {int((wrong & ~free).sum())} in all"
    seen = finite & np.isfinite(mine) & ~free
    if not seen.any():
        return None
    truth = reference if exact is None else exact
    scale = float(np.abs(truth[seen]).max())
    error = float(np.abs(mine - truth)[seen].max())
    own = 0.0 if exact is None else float(np.abs(reference - exact)[seen].max())
    moved = 0.0
    for moved_values in shaken if exact is not None else ():
        moved = max(moved, float(np.nan_to_num(np.abs(moved_values - exact)[seen]).max()))
    if exact is not None and plain is not None:
        # Op by op it may be further off, where its optimizer calculates in another way.
        own = max(own, float(np.nan_to_num(np.abs(plain.astype(np.float64) - exact)[seen]).max()))
    # One call may be exact by chance.
    for values, right in nudged if exact is not None else ():
        own = max(own, float(np.nan_to_num(np.abs(values.astype(np.float64) - right)[seen]).max()))
    floor = max(FLOOR[dtype], WITHOUT_EXACT if exact is None else 0.0) * scale + 1e-37
    # Errors that a chaotic loop has blown up differ by chance, and by more than a factor of two.
    by_chance = 8 if moved > CHAOTIC * scale else 2
    if error <= 2 * own + by_chance * moved + floor:
        return None
    at = tuple(int(i) for i in np.argwhere(seen & (np.abs(mine - truth) == error))[0])
    return "values", (
        f"{error:.3g} off at {at} ({mine[at]:.9g} for {truth[at]:.9g}); TensorFlow is {own:.3g} off, "
        f"a rounding of inputs and weights moves {moved:.3g}, the scale is {scale:.3g}"
    )


def _like(reference: Array, outcome: Outcome | None, key: str) -> list[Array]:
    """The output, if there is one of the same shape."""
    if not isinstance(outcome, dict) or key not in outcome or outcome[key].shape != reference.shape:
        return []
    return [outcome[key]]


def _one(
    path: str,
    call: int,
    ours: Outcome,
    theirs: Outcome,
    exact: Outcome | None,
    shaken: list[Outcome],
    recipe: Recipe,
    plain: Outcome | None,
    nudged: list[tuple[Outcome, Outcome]],
    raw: Outcome | None,
) -> list[Finding]:
    def finding(kind: str, what: str, output: str = "") -> Finding:
        return {"path": path, "kind": kind, "call": call, "output": output, "what": what}

    if isinstance(theirs, str) or isinstance(ours, str):
        if isinstance(theirs, str) and isinstance(ours, str):
            return []
        if isinstance(ours, str):
            # Without its optimizer it refuses the same: the optimizer goes another way.
            return [] if isinstance(plain, str) or isinstance(raw, str) else [finding("refused", ours)]
        if isinstance(exact, dict):
            return []  # op by op it is answered: it is TensorFlow's optimizer that errs
        return [finding("answered", f"TensorFlow says {theirs}")]
    if ours.keys() != theirs.keys():
        return [finding("outputs", f"{sorted(ours)} and {sorted(theirs)}")]
    found = []
    for key, reference in theirs.items():
        mine = ours[key]
        right = exact.get(key) if isinstance(exact, dict) else None
        if right is not None and right.shape == mine.shape != reference.shape:
            continue  # TensorFlow's optimizer gives another shape than its ops, for images of none
        if mine.shape != reference.shape:
            found.append(finding("shape", f"{mine.shape} and {reference.shape}", key))
        elif mine.dtype != reference.dtype:
            found.append(finding("dtype", f"{mine.dtype} and {reference.dtype}", key))
        else:
            true = exact.get(key) if isinstance(exact, dict) else None
            if true is not None and true.shape != reference.shape:
                true = None

            moved = [values for outcome in shaken for values in _like(reference, outcome, key)]
            own = next(iter(_like(reference, plain, key)), None)
            pairs = [(_like(reference, a, key), _like(reference, b, key)) for a, b in nudged]
            near = [(a[0], b[0]) for a, b in pairs if a and b]
            spreads, loses = _spreads(recipe), _loses_nan(recipe)
            difference = _values(mine, reference, true, moved, own, near, recipe["dtype"], spreads, loses)
            if difference is not None and not (difference[0] == "values" and _spreads_and_is_clipped(recipe)):
                found.append(finding(*difference, key))
    return found


def compare(
    path: str,
    ours: list[Outcome],
    theirs: list[Outcome],
    exact: list[Outcome] | None,
    shaken: list[list[Outcome]],
    recipe: Recipe,
    plain: list[Outcome] | None = None,
    nudged: Sequence[tuple[list[Outcome], list[Outcome]]] = (),
    raw: list[Outcome] | None = None,
) -> list[Finding]:
    """`exact`: in float64; `shaken`: the same with roundings of inputs and weights; `plain`: op by op;
    `raw`: the graph without TensorFlow's optimizer.

    `nudged`: op by op and in float64, for inputs next to these.
    """
    found = []
    for call, (mine, reference) in enumerate(zip(ours, theirs, strict=True)):
        true = exact[call] if exact else None
        moved = [outcomes[call] for outcomes in shaken]
        near = [(a[call], b[call]) for a, b in nudged]
        one, other = (outcomes[call] if outcomes else None for outcomes in (plain, raw))
        found += _one(path, call, mine, reference, true, moved, recipe, one, near, other)
    return found
