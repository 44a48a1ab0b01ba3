"""Webhooks of one service: whether its creates name an address of ours, and whether anything arrives there."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from halley.dispatch.ports import Work
from halley.dispatch.upstream_hooks import Hook, ProviderHooks
from halley.dispatch.upstreams import WebhookState
from halley.providers.services.journal import Journal

_log: Final = logging.getLogger(__name__)

MISSED: Final = 2  # after so many ended runs in a row without a webhook, webhooks count as not arriving


class ServiceHooks:
    """Makes webhook addresses, and notes whether webhooks arrive: only then may runs be polled less often.

    They may never arrive: a firewall, a wrong `server.public_url`, a body that is too large.
    """

    def __init__(self, hooks: ProviderHooks | None, journal: Journal) -> None:
        """None: the service cannot reach this server, or has no webhooks."""
        self._hooks = hooks
        if hooks is not None:
            hooks.on_arrival = self._note_arrival
        self._journal = journal
        self._missed = 0
        self._were_refused = False
        self.arrive = False  # the last ones have arrived
        self.have_arrived = False  # so the service can reach this server

    def open(self, work: Work) -> Hook | None:
        """The address for the create of this work, if there is one."""
        return None if self._hooks is None else self._hooks.open(work.prediction_id, work.attempt)

    def are_enough(self, hook: Hook | None, *, is_new: bool) -> bool:
        """Whether webhooks can be expected for all that happens to a run: then it may be polled rarely.

        A run that is not new may have begun without webhooks, under other settings.
        """
        return self.arrive and hook is not None and not hook.says_end and (is_new or hook.has_arrived)

    @contextmanager
    def heard(self, hook: Hook | None, on_hint: Callable[[], None]) -> Iterator[None]:
        """Call `on_hint` at each webhook for the run while the block runs, which ends when a poll has shown its end."""
        if hook is None:
            yield
            return
        hook.listen(on_hint)
        try:
            yield
            self._note_end(hook)
        finally:
            hook.leave(on_hint)

    @property
    def state(self) -> WebhookState | None:
        """For operators; None: none are asked for."""
        if self._hooks is None:
            return "refused" if self._were_refused else None
        return "arriving" if self.arrive else "awaited"

    @property
    def are_refused(self) -> bool:
        """Whether the service takes no address of ours."""
        return self._hooks is None

    def refuse(self, text: str) -> None:
        """The service does not take our address: send none any more."""
        self._hooks, self._were_refused = None, True
        self.arrive = False
        self._journal.note(f"It refuses webhooks to this server, so its runs are only polled. {text}")
        _log.warning("a service refuses webhooks to this server, so its runs are only polled")

    def _note_arrival(self) -> None:
        self._missed = 0
        self.arrive = self.have_arrived = True

    def _note_end(self, hook: Hook) -> None:
        # a webhook that comes after the end, which a stream has shown first, is an arrival like others
        if hook.says_end:
            return
        self._missed += 1
        if self._missed >= MISSED:
            self.arrive = False


def refuses_webhook(text: str) -> bool:
    """Whether a service that refused a create says that it did so because of the webhook."""
    return "webhook" in text.lower()
