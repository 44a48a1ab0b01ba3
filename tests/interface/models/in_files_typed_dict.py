from typing import TypedDict

from cog import Path


class Track(TypedDict, total=False):
    audio: Path
    gain: float


class Mix(TypedDict):
    tracks: list[Track]
    title: str


def run(mix: Mix, spare: dict[str, list[Path]]) -> str:
    tracks = [f"{track['audio'].read_text()} {track.get('gain')!r}" for track in mix["tracks"]]
    files = [f"{name} {[path.read_text() for path in paths]}" for name, paths in spare.items()]
    return "; ".join([mix["title"], *tracks, *files, str(mix.get("unnamed"))])
