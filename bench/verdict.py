"""What rounds of two sides say: medians, spread and a verdict for each row."""

import statistics
from dataclasses import dataclass

TOLERANCE = 0.05  # a smaller difference of the medians says nothing on a shared machine


@dataclass(frozen=True)
class Spread:
    """One side's figures of one row, larger is better."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Judged:
    """`ratio` is this side's median to the other's; a side that could not serve the row has no spread."""

    this: Spread | None
    other: Spread | None
    ratio: float | None
    verdict: str
    is_worse: bool


def spread(figures):
    return Spread(statistics.median(figures), min(figures), max(figures))


def median(figures):
    """None if one of them is missing: the median of the rest would hide it."""
    return None if _failure(figures) else statistics.median(figures)


def judge(this, other):
    """Both lists hold one entry per round: a figure, or as text why there is none.

    Worse is only what is so by more than 5 % and lies below all that the other side showed. One round that could not be
    served is told, for the median of the rest would hide it; if only this side failed, that is worse.
    """
    failed_here, failed_there = _failure(this), _failure(other)
    if failed_here and failed_there:
        return Judged(None, None, None, f"served by neither: {failed_here}; {failed_there}", is_worse=False)
    if failed_here:
        return Judged(None, spread(other), None, f"worse: not served: {failed_here}", is_worse=True)
    if failed_there:
        return Judged(spread(this), None, None, f"the other does not serve it: {failed_there}", is_worse=False)
    ours, theirs = spread(this), spread(other)
    ratio = ours.median / theirs.median
    if ratio < 1 - TOLERANCE:
        is_outside = ours.median < theirs.low
        return Judged(ours, theirs, ratio, "worse" if is_outside else "lower, within the spread", is_outside)
    if ratio > 1 + TOLERANCE:
        return Judged(
            ours, theirs, ratio, "better" if ours.median > theirs.high else "higher, within the spread", is_worse=False
        )
    return Judged(ours, theirs, ratio, "same", is_worse=False)


def _failure(figures):
    return next((figure for figure in figures if isinstance(figure, str)), None)


def order(number):
    """The sides of a round: A B, B A, A B, so that neither always finds the machine as the other left it."""
    return ("this", "other") if number % 2 == 0 else ("other", "this")


def table(judged, floors):
    """Lines of text; `judged` maps a row's title to what was found, `floors` to the floor's median or None."""
    heads = f"{'this':>26}{'of floor':>9}{'other':>28}{'of floor':>9}{'ratio':>8}"
    lines = [f"{'per CPU-second':44}{heads}  verdict"]
    for title, row in judged.items():
        ratio = "" if row.ratio is None else f"{row.ratio:.3f}"
        sides = "".join(
            f"{_shown(side):>{width}}{_of_floor(side, floors[title]):>9}"
            for side, width in ((row.this, 26), (row.other, 28))
        )
        lines.append(f"{title:44}{sides}{ratio:>8}  {row.verdict}")
    return lines


def _of_floor(side, floor):
    return "" if side is None or floor is None else f"{side.median / floor:.2f}"


def _shown(found):
    return "-" if found is None else f"{found.median:.0f} ({found.low:.0f}..{found.high:.0f})"
