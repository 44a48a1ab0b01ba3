"""Encodes predictions as answers, as rarely as possible."""

from math import inf
from zlib import crc32

from halley.api.http.asgi import Variant
from halley.api.presentation.cache import FRESH_SECONDS, AnswerCache, CachedResponse
from halley.api.presentation.present import Presenter
from halley.assets.links import LinkSigner
from halley.clock import Clock
from halley.predictions.records import Prediction
from halley.predictions.status import Status


class EncodedAnswers:
    """Makes encoded answers and caches them: those about running predictions until something new is stored."""

    def __init__(self, *, cache: AnswerCache, presenter: Presenter, links: LinkSigner, clock: Clock) -> None:
        self._cache = cache
        self._presenter = presenter
        self._links = links
        self._clock = clock

    async def of(
        self, row: Prediction, variant: Variant, made: dict[int, CachedResponse] | None = None
    ) -> CachedResponse:
        """The answer about this row for this variant.

        `made` has answers by variant that were made of this row a moment ago; new ones are added to it.
        """
        kept = None if made is None else made.get(variant.number)
        if kept is None and row.is_terminal:  # the added progress of a running one may be newer than the cached answer
            kept = self.current(row, variant)
        if kept is None:
            # as they are when its links are made: they may change while it is encoded
            links_end_at, fresh_until = self._presenter.links_end_at(row), self._fresh_until(row)
            changes = self._cache.changes
            body = await self._presenter.encoded(row, variant)
            if changes != self._cache.changes:
                fresh_until = -inf  # the row may be another by now: compared before it is given again
            # of one that is canceled when no client asks for it any more, each poll is noted by the ordinary way
            stands = not row.is_terminal and not row.cancel_abandoned
            etag = self.etag(row, variant)
            kept = CachedResponse(body, etag, row.revision, links_end_at, fresh_until, stands=stands)
            if _is_kept(row):
                self._cache.put((row.account_id, row.id, variant.number), kept)
        if made is not None:
            made[variant.number] = kept
        return kept

    def current(self, row: Prediction, variant: Variant) -> CachedResponse | None:
        """The cached answer, if it was made of this revision; progress need not be added to a running row for this.

        Its progress may be newer than its revision, never older: it was read later.
        """
        if not _is_kept(row):
            return None
        key = (row.account_id, row.id, variant.number)
        return self._cache.current(key, row.revision, self._presenter.links_end_at(row), self._fresh_until(row))

    def etag(self, row: Prediction, variant: Variant) -> bytes:
        """The validator of that answer.

        The revision increases with everything that is stored, progress included; the reason for waiting is not stored.
        """
        why = self._presenter.starting_reason(row)
        number = 0 if why is None else crc32(why.encode())
        return b'W/"%d.%d.%d.%x"' % (row.revision, self._presenter.links_end_at(row), variant.number, number)

    def _fresh_until(self, row: Prediction) -> float:
        """Until when an answer that is made now may be sent without another check, in monotonic seconds."""
        if not row.is_terminal:
            return -inf
        now, ends_at = self._clock.now(), self._presenter.data_ends_at(row)
        seconds = min(FRESH_SECONDS, self._links.seconds_until_renewed(now))
        if ends_at is not None:
            seconds = min(seconds, (ends_at - now).total_seconds())
        return self._clock.monotonic() + seconds


def _is_kept(row: Prediction) -> bool:
    """False while it is starting: the reason for waiting is not stored, and does not change the revision."""
    return row.status is not Status.STARTING


def is_match(if_none_match: str, etag: bytes) -> bool:
    """Whether the caller has this representation already. Source: RFC 9110 section 13.1.2, weak comparison."""
    plain = etag.decode().removeprefix("W/")
    return any(tag.strip().removeprefix("W/") in (plain, "*") for tag in if_none_match.split(","))
