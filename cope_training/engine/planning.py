"""What to expect of a training: from its length and the curve of one whose figures are known."""

import itertools
import math
from collections.abc import Sequence

MEASURED_ON = "a scanned box and a can"  # whose curve the configurations hold
Curve = Sequence[Sequence[float]]  # (crops, ADD(-S) recall at least half visible), crops rising


def expected_recall(crops: float, curve: Curve) -> float | None:
    """Recall after so many crops, linear in their logarithm; None beyond the curve's ends."""
    for (n0, r0), (n1, r1) in itertools.pairwise(curve):
        if n0 <= crops <= n1:
            share = math.log(crops / n0) / math.log(n1 / n0)
            return r0 + share * (r1 - r0)
    return None


def expectation(crops: float, curve: Curve) -> str:
    """In words; empty without a curve."""
    if not curve:
        return ""
    about = expected_recall(crops, curve)
    if about is not None:
        said = f"about {about:.2f}"
    elif crops < curve[0][0]:
        said = f"less than {curve[0][1]:.2f}"
    else:
        said = f"{curve[-1][1]:.2f} or more"
    known = ", ".join(f"{recall:.2f} after {n:,.0f}" for n, recall in curve)
    return (
        f"expect {said} of the instances at least half visible right "
        f"({MEASURED_ON}: {known} crops; others may be harder)"
    )


def plan(rate: float, seconds_left: float, crops_done: int, curve: Curve) -> str:
    """How far a training gets at ``rate`` crops per second, and what to expect of that."""
    crops = crops_done + rate * seconds_left
    text = f"plan: {rate:.1f} crops a second, {crops:,.0f} crops in all"
    hope = expectation(crops, curve)
    return f"{text}; {hope}" if hope else text
