from typing import Optional

from cog import Path
from pydantic import BaseModel


class Voice(BaseModel):
    sample: Path
    names: list[str] = []


class Work(BaseModel):
    voices: dict[str, Voice]
    script: Optional[Path] = None


def run(work: Work) -> str:
    voices = [f"{name} {type(voice.sample).__name__} {voice.sample.read_text()}" for name, voice in work.voices.items()]
    return "; ".join([*voices, work.script.read_text() if work.script else "no script"])
