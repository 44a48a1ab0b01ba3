"""The state of a Cog server, from the answers of `/health-check` and `/openapi.json`.

Its version decides how a run can be followed. A newer one (coglet, from Cog 0.17) looks for a run with the same id
before it reads the input; an older one reads the input first. Observed in coglet 0.23.1, Cog 0.16.12 and 0.9.26.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from halley.providers.services.answers import Body, plain

_SERVES: Final = frozenset({"READY", "BUSY"})
_SHOWN_LOG_CHARS: Final = 300


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The health of a server. `word` is Cog's own name of it, "" if there was none; `why` is a sentence about why it
    runs nothing, "" if it runs predictions.
    """

    word: str = ""
    why: str = ""
    is_coglet: bool = False
    started: str = ""  # when its setup began: another time is another process

    @property
    def serves(self) -> bool:
        """Whether it runs predictions."""
        return self.word in _SERVES


class Abilities(msgspec.Struct, frozen=True, kw_only=True):
    """What the OpenAPI document of the server says. `document` is b"" if it has none."""

    document: bytes = b""
    has_stream: bool = False  # a run can be followed by an event stream
    can_query_state: bool = False  # asking for the state of a run certainly begins none


def read_health(body: Body | None, clean: Callable[[str], str]) -> Health:
    """The health that an answer shows. `clean` takes secrets out of a text."""
    word = None if body is None else body.get("status")
    if body is None or not isinstance(word, str):
        return Health(why="It is no Cog server: /health-check has no status.")
    setup = _object(body.get("setup"))
    return Health(
        word=word,
        why="" if word in _SERVES else _why(word, body, setup, clean),
        is_coglet="coglet" in _object(body.get("version")),
        started=str(setup.get("started_at") or ""),
    )


def read_abilities(body: Body | None, health: Health) -> Abilities:
    """`body` is the OpenAPI document."""
    if body is None or not isinstance(body.get("components"), dict):
        return Abilities()
    post = _object(_object(_object(body.get("paths")).get("/predictions")).get("post"))
    given = _object(_object(_object(body.get("components")).get("schemas")).get("Input"))
    can_query_state = health.is_coglet and given.get("type") == "object"
    return Abilities(
        document=msgspec.json.encode(body),
        has_stream=can_query_state and post.get("x-cog-streaming") is True,
        can_query_state=can_query_state,
    )


def _why(word: str, body: Body, setup: dict[str, Any], clean: Callable[[str], str]) -> str:
    if word == "STARTING":
        return "Its model is being set up."
    said = body.get("user_healthcheck_error") or setup.get("logs") or ""
    text = plain(clean(str(said))[-_SHOWN_LOG_CHARS:])
    return f"Its health is {word}: {text}" if text else f"Its health is {word}."


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
