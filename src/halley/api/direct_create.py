"""Creates without a scope, a task or an await: from the bytes of a request to its submitted write in one call.

Only after the ordinary path has read the same head on the same connection, and only if that path would
not wait for anything: everything else is left to it, errors included. It ends as that path does, with a parked
`PendingCreate`. tests/api/test_direct_create.py compares both.
"""

import re
from typing import Final, NamedTuple
from weakref import WeakValueDictionary

from halley.api.application import REQUEST_ID_HEADER, Api
from halley.api.http.asgi import Exchange, Headers, Scope, Variant, read_token
from halley.api.http.origins import FORWARDED
from halley.api.http.routing import RouteMatch
from halley.api.presentation.preferences import cancel_abandoned, cancel_after_seconds, wait_seconds
from halley.api.repeats import CreateAttempt
from halley.api.resources import creates
from halley.api.resources.bodies import CreateBody, create_request, members_of
from halley.api.resources.pending_create import PendingCreate
from halley.errors import HalleyError
from halley.keys.records import Scope as KeyScope
from halley.keys.service import Identity
from halley.predictions.service import Checked, CreateRequest
from halley.strict_json import LIGHT_BYTES

_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,7})[ \t]*\r\n", re.IGNORECASE)
_LENGTH_DIGITS: Final = 7
# such creates need what only the ordinary path does
_LEAVE: Final = (b"idempotency-key", b"content-encoding", b"transfer-encoding", b"expect", b"upgrade")
_NEEDED: Final = frozenset({KeyScope.READ, KeyScope.WRITE})


class CreatePreferences(NamedTuple):
    """What the headers of a create prefer."""

    wait: float | None
    abandoned: bool | None
    cancel_after: float | None
    applied: Headers  # those of the answer that say so


class HeadMeaning(NamedTuple):
    """What the head of a create says."""

    path: Scope  # as much of a scope as an exchange needs
    digest: bytes  # of the key's token
    variant: Variant
    reference: str | None  # of the model that the path names
    preferences: CreatePreferences
    tries: int | None  # of tries before this one: none, or not given
    request_id: bytes | None


class KnownHead:
    """The head of creates and its meaning, for bodies of any length.

    The connections that send it share it; it is dropped with the last of them. It holds the token, as their requests
    do; the key is checked each time.
    """

    __slots__ = ("__weakref__", "_after", "_before", "meaning")

    def __init__(self, before: bytes, after: bytes, meaning: HeadMeaning) -> None:
        """`before` and `after`: the head on both sides of the number of the body's bytes."""
        self._before = before
        self._after = after
        self.meaning: Final = meaning

    def split(self, data: bytes) -> tuple[int, bytes] | None:
        """The length of the body and what has arrived of it, if the data begins with this head; else None."""
        if not data.startswith(self._before):
            return None
        start = len(self._before)
        end = data.find(self._after, start, start + _LENGTH_DIGITS + len(self._after))
        length = data[start:end] if end > 0 else b""
        return (int(length), data[end + len(self._after) :]) if length.isdigit() else None


class DirectCreates:
    """Learns the heads of creates, and begins creates with known ones."""

    def __init__(self, api: Api) -> None:
        parts = api.parts
        self._api = api
        self._parts = parts
        self._predictions = parts.predictions
        self._heads: WeakValueDictionary[tuple[bytes, bytes, int], KnownHead] = WeakValueDictionary()
        leave = [*_LEAVE]
        if api.has_cors:
            leave.append(b"origin")
        if parts.settings.server.trusted_proxies:
            leave += FORWARDED
        self._leave = frozenset(leave)

    # reading heads

    def learn(self, data: bytes, scope: Scope) -> KnownHead | None:
        """The head with which the data begins, if creates with it can begin here.

        It came over HTTP/1.1, has passed all checks of a head, and its connection stays open.
        """
        head, mark, _ = data.partition(b"\r\n\r\n")
        whole = head + mark
        length = _LENGTH.search(whole)
        found = self._api.router.find(scope["raw_path"])
        if found is None or length is None or scope["query_string"] or not data.startswith(b"POST "):
            return None
        meaning = self._meaning(scope, found)
        if meaning is None:
            return None
        before, after = whole[: length.start(1)], whole[length.end(1) :]
        return self._heads.setdefault((before, after, meaning.variant.number), KnownHead(before, after, meaning))

    def _meaning(self, scope: Scope, found: RouteMatch) -> HeadMeaning | None:
        route = found.place.routes.get("POST")
        headers = dict(scope["headers"])
        if route is None or len(headers) != len(scope["headers"]) or not self._leave.isdisjoint(headers):
            return None
        if route.handler is creates.create_for_model:
            reference = "/".join(found.params)
        elif route.handler is creates.create:
            reference = None
        else:
            return None
        count = headers.get(creates.COUNT)
        if count not in (None, b"0"):
            return None  # it repeats another
        prefer = headers.get(b"prefer", b"").decode("latin-1")
        try:
            digest = self._parts.keys.digest(read_token(headers.get(b"authorization")))
            cancel_after = cancel_after_seconds(
                headers[b"cancel-after"].decode("latin-1") if b"cancel-after" in headers else None
            )
        except HalleyError:
            return None
        wait, abandoned = wait_seconds(prefer, self._parts.limits.wait_create_max_seconds), cancel_abandoned(prefer)
        return HeadMeaning(
            path={"method": "POST", "path": scope["path"]},
            digest=digest,
            variant=self._api.variants.of_scope(scope, headers, found.family),
            reference=reference,
            preferences=CreatePreferences(wait, abandoned, cancel_after, creates.applied_headers(wait, abandoned)),
            tries=None if count is None else 0,
            request_id=headers.get(REQUEST_ID_HEADER),
        )

    # creating

    def may_begin(self, head: HeadMeaning, length: int) -> bool:
        """Whether a create with a body of this length can begin here, as far as its head shows."""
        return length <= LIGHT_BYTES and not self._parts.is_draining and self._caller(head) is not None

    def begin(self, head: HeadMeaning, body: bytes) -> tuple[PendingCreate, Exchange] | None:
        """Check a create, and submit its write: it must be parked in the same call of the loop.

        None: nothing has happened, and the ordinary path must take it.
        """
        parts = self._parts
        identity = self._caller(head)
        if identity is None or parts.is_draining or len(body) > LIGHT_BYTES:
            return None
        key, started = identity.key, parts.clock.monotonic()
        wait, abandoned, cancel_after, _ = head.preferences
        if parts.repeats.may_repeat(head.tries, started) or not parts.bodies.has_room(key.id, len(body)):
            return None
        try:
            members = members_of(body, parts.limits)
            request = create_request(
                CreateBody(members, body),
                parts.limits,
                variant=head.variant,
                url_fault=parts.webhooks.fault,
                reference=head.reference,
                cancel_after=cancel_after,
                with_wait=wait is not None,
                cancel_abandoned=key.options.cancel_abandoned if abandoned is None else abandoned,
            )
            checked = self._predictions.check_at_once(request)
        except Exception:  # noqa: BLE001  # the ordinary path finds it again, and reports it
            return None
        if checked is None:
            return None
        prediction_id = self._predictions.reserve_id()
        asked = (key.id, head.reference, cancel_after)
        attempt = parts.repeats.begin_in_flight(
            prediction_id, asked=asked, body=body, count=head.tries, begun_at=started
        )
        waiter = self._submit(head, request, checked, identity, attempt)
        if waiter is None:
            return None
        parts.ignored_members.note(members, path_names_model=head.reference is not None)
        return waiter, Exchange(head.path, self._api.request_ids.of(head.request_id), None, started)

    def _caller(self, head: HeadMeaning) -> Identity | None:
        identity = self._parts.keys.known_by(head.digest)
        # one that may not read gets answers without the data of other keys
        return identity if identity is not None and identity.key.scopes >= _NEEDED else None

    def _submit(
        self,
        head: HeadMeaning,
        request: CreateRequest,
        checked: Checked,
        identity: Identity,
        attempt: CreateAttempt,
    ) -> PendingCreate | None:
        key_id, prediction_id = identity.key.id, str(attempt.prediction_id)
        waiter = PendingCreate(
            self._parts,
            attempt,
            prediction_id,
            variant=head.variant,
            applied=head.preferences.applied,
            seconds=head.preferences.wait,
            carrier=(key_id, KeyScope.WRITE),
        )
        if head.preferences.wait is not None:
            self._parts.hub.await_end(prediction_id, waiter)
        account_id = identity.account.id
        try:
            self._predictions.submit_checked(request, checked, account_id, key_id, prediction_id, waiter.written)
        except Exception:  # noqa: BLE001  # as above
            waiter.give_up()
            return None
        return waiter
