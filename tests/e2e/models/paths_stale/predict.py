"""Its schema file is older than its code, and calls every input a plain string."""

from typing import List

from cog import File, Path
from pydantic import BaseModel


class Job(BaseModel):
    image: Path


def run(path: Path = None, file: File = None, listed: List[Path] = None, job: Job = None) -> str:
    files = [path, *(listed or []), job and job.image]
    return " ".join(each.read_text() for each in files if each) + (file.read().decode() if file else "")
