"""The answers for a key that may write but not read: its own input, and what it needs to cancel or to pass on.

A key's scopes apply to every answer, including those to a create or a cancel. The links to the stream and to the page
are present, as clients need them, but without a valid capability.
"""

from typing import Final

from msgspec import UNSET, Raw
from msgspec.structs import replace

from halley.api.http.asgi import Call, Variant
from halley.api.presentation.wire.predictions import PredictionBody
from halley.errors import Forbidden
from halley.keys.records import Scope

_WITHHELD: Final = "withheld: this key lacks the scope `read`"


def withholding(variant: Variant, key_id: str) -> Variant:
    """The variant for a key that may not read. Answers for it must not be cached by a variant's number."""
    return replace(variant, number=-1, data_urls=False, own_key=key_id)


def withheld(shown: PredictionBody, *, is_own: bool) -> PredictionBody:
    """A reduced prediction; `is_own` says whether this key created it."""
    origin = shown.urls.stream.partition("/v1/")[0]
    less = replace(
        shown,
        output=Raw(b"null"),
        logs="",
        error=None if shown.error is None else _WITHHELD,
        metrics=UNSET if shown.metrics is UNSET else {},
        urls=replace(shown.urls, web=shown.urls.web.partition("?")[0], stream=f"{origin}/v1/streams/{shown.id}"),
    )
    return less if is_own else replace(less, input=Raw(b"{}"), webhook=UNSET, webhook_events_filter=UNSET)


def require_read(call: Call) -> None:
    """For routes that change something and show more than the caller sent.

    Raises:
        Forbidden: the key may not read.
    """
    if not call.identity.may(Scope.READ):
        raise Forbidden("This key lacks the scope `read`. Make one that has it with `halley keys create`.")
