"""The body of the request that begins a run at a Cog server."""

from typing import Any, Final

import msgspec

from halley.dispatch.ports import Work
from halley.providers.services.inputs import SentInputs

_NULL: Final = b"null"


async def run_content(work: Work, inputs: SentInputs) -> bytes:
    """The body, with files as `data:` URLs or links.

    An input that is null is left out: a model here takes its default then, and a Cog server refuses it.

    Raises:
        SubmitRefused: a file is removed, or too large for the request.
    """
    given = await inputs.prepared(work, may_upload=True)
    if _NULL in given:
        members: dict[str, Any] = msgspec.json.decode(given)
        kept = {name: value for name, value in members.items() if value is not None}
        given = given if len(kept) == len(members) else msgspec.json.encode(kept)
    content: dict[str, Any] = {"input": msgspec.Raw(given)}
    if work.context is not None:
        content["context"] = msgspec.Raw(work.context)
    return msgspec.json.encode(content)
