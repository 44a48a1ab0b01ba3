"""The last errors of a service, and how many submits had no clear answer: for operators."""

import re
from collections import deque
from collections.abc import Sequence
from typing import Final

from halley.clock import Clock
from halley.dispatch.upstreams import UpstreamFault
from halley.providers.services.answers import plain

_KEPT: Final = 10
# queries of URLs may be signatures
_QUERY: Final = re.compile(r"(https?://[^\s?#\"'<>]+)[?#][^\s\"'<>]*", re.IGNORECASE)
_USER: Final = re.compile(r"(https?://)[^\s/?#@]*@", re.IGNORECASE)
_ANSWERED: Final = re.compile(r"\bIt answered (?=\d{3}\b)")
_HOOK: Final = re.compile(r"(/upstreams/hooks/)[\w-]+")  # has a token of ours


class Journal:
    """The last faults, newest first. No text has the token."""

    def __init__(self, clock: Clock, *, token: str | None, url: str, name: str | None) -> None:
        """`url` is that of the service: operators see it, callers do not. They see `name`, the provider's in the
        settings.
        """
        self._clock = clock
        self._tokens = {token} if token else set()
        self._address = re.compile(re.escape(url) + r"[^\s?]*")
        self._service = "service" if name is None else f"service {name}"
        self._faults: deque[UpstreamFault] = deque(maxlen=_KEPT)
        self.unknown = 0

    def hide(self, token: str) -> None:
        """Take this token out of every text from now on, too: the service may still name an earlier one."""
        self._tokens.add(token)

    @property
    def faults(self) -> Sequence[UpstreamFault]:
        return tuple(self._faults)

    def note(self, text: str) -> None:
        """Remember an error; one that repeats the last only gets a new time."""
        shown = _QUERY.sub(r"\1?...", _USER.sub(r"\1", self.without_token(text)))
        fault = UpstreamFault(at=self._clock.now(), text=plain(shown))
        if self._faults and self._faults[0].text == fault.text:
            self._faults.popleft()
        self._faults.appendleft(fault)

    def for_callers(self, text: str) -> str:
        """The text for the message of a prediction: in one line, without our token and the address of the service.

        It says who answered whom. "It answered 401: the API key is not valid" would make callers replace their own key.
        """
        named = _ANSWERED.sub(f"The {self._service} answered this server with ", text)
        begins = self._address.sub(f"The {self._service}", named, count=1) if self._address.match(named) else named
        return plain(self.without_token(self._address.sub(f"the {self._service}", begins)))

    def without_address(self, text: str) -> str:
        """The text without our tokens and the address of the service, otherwise as it is."""
        return self.without_token(self._address.sub("the service", text))

    def without_token(self, text: str) -> str:
        """The text without our tokens, otherwise as it is."""
        for token in self._tokens:
            text = text.replace(token, "[token]")
        return _HOOK.sub(r"\1[token]", text)
