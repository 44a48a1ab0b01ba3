"""Predictions as encoded answers, each made as rarely as possible."""

from zlib import crc32

from halley.api.asgi import Variant
from halley.api.cache import FRESH_SECONDS, AnswerCache, Kept
from halley.api.present import Presenter
from halley.assets.links import LinkSigner
from halley.clock import Clock
from halley.predictions.records import Prediction


class EncodedAnswers:
    """Makes encoded answers, and keeps those about terminal predictions."""

    def __init__(self, *, cache: AnswerCache, presenter: Presenter, links: LinkSigner, clock: Clock) -> None:
        self._cache = cache
        self._presenter = presenter
        self._links = links
        self._clock = clock

    async def of(self, row: Prediction, variant: Variant, made: dict[int, Kept] | None = None) -> Kept:
        """The answer about this row for this variant.

        `made` holds by variant what was made of this very row a moment ago, and takes in what is made now.
        """
        links_end_at, fresh_until = self._presenter.links_end_at(row), self._fresh_until(row)
        key = (row.account_id, row.id, variant.number)
        kept = None if made is None else made.get(variant.number)
        if kept is None and row.is_terminal:
            kept = self._cache.current(key, row.revision, links_end_at, fresh_until)
        if kept is None:
            body = await self._presenter.encoded(row, variant)
            kept = Kept(body, self.etag(row, variant), row.revision, links_end_at, fresh_until)
            if row.is_terminal:
                self._cache.put(key, kept)
        if made is not None:
            made[variant.number] = kept
        return kept

    def etag(self, row: Prediction, variant: Variant) -> bytes:
        """The validator of that answer.

        The revision grows with all that is stored, progress included; why it has not started yet is not stored.
        """
        why = self._presenter.starting_reason(row)
        number = 0 if why is None else crc32(why.encode())
        return b'W/"%d.%d.%d.%x"' % (row.revision, self._presenter.links_end_at(row), variant.number, number)

    def _fresh_until(self, row: Prediction) -> float:
        """Until when an answer that is made now may be given without another look, in monotonic seconds."""
        now, ends_at = self._clock.now(), self._presenter.data_ends_at(row)
        seconds = min(FRESH_SECONDS, self._links.seconds_until_renewed(now))
        if ends_at is not None:
            seconds = min(seconds, (ends_at - now).total_seconds())
        return self._clock.monotonic() + seconds


def is_match(if_none_match: str, etag: bytes) -> bool:
    """Whether the caller has this representation already. Source: RFC 9110 section 13.1.2, weak comparison."""
    plain = etag.decode().removeprefix("W/")
    return any(tag.strip().removeprefix("W/") in (plain, "*") for tag in if_none_match.split(","))
