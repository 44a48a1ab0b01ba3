from typing import List, Optional, Union

from cog import Path


def told(value) -> str:
    return f"file:{value.read_text()}" if isinstance(value, Path) else f"{type(value).__name__}:{value}"


def run(
    one: Union[Path, str],
    other: Union[str, Path] = "none",
    many: Optional[List[Union[Path, str]]] = None,
) -> str:
    return " ".join(told(value) for value in [one, other, *(many or [])])
