"""Shows the progress of a run in its logs, in the form that the official clients read: `prediction.progress`."""

from typing import Final

STEPS: Final = 20  # a line for each twentieth: few lines, also for a service that shows each percent
_BAR: Final = 20


class ProgressLines:
    """The lines of one run, one for each step that was reached: the same lines for every follower."""

    def __init__(self) -> None:
        self._passed = 0

    def until(self, progress: float | None) -> str:
        """The lines up to this progress (from 0 to 1) that were not returned before."""
        reached = 0 if progress is None else int(progress * STEPS + 1e-9)
        lines = [_line(step) for step in range(self._passed + 1, reached + 1)]
        self._passed = max(self._passed, reached)
        return "".join(lines)


def _line(step: int) -> str:
    """As tqdm writes it. Source: the pattern in replicate-python, `Prediction.Progress.parse`."""
    percent = step * 100 // STEPS
    bar = "█" * (step * _BAR // STEPS)
    return f"{percent:3d}%|{bar:<{_BAR}}| {percent}/100\n"
