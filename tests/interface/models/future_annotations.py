from __future__ import annotations

from cog import BaseModel


class Said(BaseModel):
    text: str
    times: int | None = None


def run(text: str, times: int | None = None) -> Said:
    return Said(text=text, times=times)
