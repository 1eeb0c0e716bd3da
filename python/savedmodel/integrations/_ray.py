# SPDX-License-Identifier: Apache-2.0
"""What the adapters for Ray have in common."""

from __future__ import annotations


def cpus_of_this_actor() -> int | None:
    """The CPUs that Ray gave to this worker, rounded; None outside of one, or if it gave none."""
    import ray

    if not ray.is_initialized():
        return None
    given = ray.get_runtime_context().get_assigned_resources().get("CPU", 0)
    return max(1, round(given)) if given else None
