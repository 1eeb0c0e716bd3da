"""One recipe again, in a child: what a reduced program calls."""

from __future__ import annotations

from .recipe import Recipe, listing
from .supervisor import Supervisor


def replay(recipe: Recipe) -> int:
    """Prints what differs; 1 if anything does."""
    supervisor = Supervisor()
    answer = supervisor.judge(recipe)
    supervisor.close()
    print(listing(recipe))
    for death in answer["died"]:
        print(f"TensorFlow's {death['what']}")
    for finding in answer["findings"]:
        print("{path}: {kind} {output} (call {call}): {what}".format(**finding))
    print(answer.get("invalid") or ("FAIL" if answer["findings"] else "PASS"))
    return 1 if answer["findings"] else 0
