"""Links that grant access: their holder may read one thing, without a key, until the link expires.

    /d/{id}-{index}-{expiry}-{mac}/{name}      one output file of a prediction
    /v1/streams/{id}-{mac}                     the event stream of a prediction, for the life of its data
    /v1/files/stream-{id}-{mac}                the same, for versions whose output is files
    /v1/files/{id}/download?expiry=&owner=&signature=    an uploaded file
    /v1/upstreams/hooks/{id}-{attempt}-{provider}-{mac}    for webhooks of a service elsewhere; grants nothing

Numbers are in base 36, the MAC is HMAC-SHA256 cut to 128 bits. Source: contract sections 12.1, 13.3 and 14.
"""

import base64
import hmac
import re
from binascii import b2a_base64
from datetime import datetime
from typing import Final
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

import msgspec

from halley.clock import Clock
from halley.errors import Forbidden, NotFound
from halley.hmac_sha256 import HmacSha256

DEFAULT_LINK_SECONDS: Final = 86_400.0
_MAC_BYTES: Final = 16
_MAC_CHARACTERS: Final = 22
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_DELIVERY: Final = re.compile(r"([0-9a-z]{26})-([0-9a-z]{1,6})-([0-9a-z]{1,8})-([A-Za-z0-9_-]{22})", re.ASCII)
_STREAM: Final = re.compile(r"([0-9a-z]{26})-([A-Za-z0-9_-]{22})", re.ASCII)
_HOOK: Final = re.compile(r"([0-9a-z]{26})-([0-9a-z]{1,8})-([a-z0-9][a-z0-9_-]{0,62})-([A-Za-z0-9_-]{22})", re.ASCII)
# a proxy may add any path in front; our links to files always contain /v1
_DELIVERED: Final = re.compile(r"/d/([0-9a-z]{26}-[0-9a-z]{1,6}-[0-9a-z]{1,8}-[A-Za-z0-9_-]{22})(?:/|\Z)", re.ASCII)
_FILE: Final = re.compile(r"(?:(?:/replicate)?(?:/v1)*|(?:/[^/]+)*?/v1)/files/([0-9a-z]{26})(/download)?/?", re.ASCII)
_SLASHES: Final = re.compile("//+")
_LONGEST_PATH: Final = 2048  # characters; a file's name in it has 765 at most
_LONGEST: Final = 8192  # characters; our own have at most about 1,200 after their origin
_GONE: Final = "This link is not valid or has expired. Read the prediction again to get a fresh one."


class DeliveryRight(msgspec.Struct, frozen=True, kw_only=True):
    """What a delivery link grants access to. `expires_at` is in Unix seconds."""

    prediction_id: str
    index: int
    expires_at: int


class DeliveryLink(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A URL of the form of this server's delivery links; only `LinkSigner.verify` checks that it is one."""

    capability: str


class FileLink(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A URL of an uploaded file. `signature` is set for a download link."""

    file_id: str
    owner: str | None = None
    expiry: int | None = None
    signature: str | None = None


OwnLink = DeliveryLink | FileLink


class LinkSigner:
    """Makes and checks links. The key is secret, 32 bytes or more, and must not change: a new one invalidates all
    links.
    """

    def __init__(self, key: bytes, clock: Clock, link_seconds: float = DEFAULT_LINK_SECONDS) -> None:
        """Links are valid for at least half of `link_seconds`, at most the whole, see `expiry`."""
        if len(key) < 16:
            raise ValueError("a link key has at least 16 bytes")
        self._key = key
        self._signer = HmacSha256(key)
        self._clock = clock
        self._half_seconds = max(1, int(link_seconds) // 2)

    @property
    def files_secret(self) -> bytes:
        """The secret of signed file downloads: derived from the key, which it does not reveal, so it may be
        given out.
        """
        return hmac.digest(self._key, b"files-secret", "sha256")

    def expiry(self, now: datetime, data_ends_at: datetime | None = None) -> int:
        """When links that are made now expire, in Unix seconds; never after the end of the data.

        The time changes only once in half the life of a link. So all links made meanwhile are equal, an encoded answer
        may be kept that long, and the links in it are valid for at least half of their life.
        """
        expiry = self._renewed_at(now) + self._half_seconds
        return expiry if data_ends_at is None else max(0, min(expiry, int(data_ends_at.timestamp())))

    def seconds_until_renewed(self, now: datetime) -> float:
        """How many seconds links that are made now stay equal."""
        return self._renewed_at(now) - now.timestamp()

    def _renewed_at(self, now: datetime) -> int:
        return (int(now.timestamp()) // self._half_seconds + 1) * self._half_seconds

    def delivery(
        self, prediction_id: str, index: int, *, now: datetime | None = None, data_ends_at: datetime | None = None
    ) -> str:
        """Make the capability for one output file; never valid after the end of the data."""
        expiry = self.expiry(now or self._clock.now(), data_ends_at)
        text = f"{prediction_id}-{_base36(index)}-{_base36(expiry)}"
        return f"{text}-{self._mac('delivery', text)}"

    def delivery_path(
        self,
        prediction_id: str,
        index: int,
        name: str,
        *,
        now: datetime | None = None,
        data_ends_at: datetime | None = None,
    ) -> str:
        """Make the path of a delivery link. It ends in the file's name, which clients take for their copy."""
        capability = self.delivery(prediction_id, index, now=now, data_ends_at=data_ends_at)
        return f"/d/{capability}/{quote(name, safe='')}"

    def verify(self, capability: str) -> DeliveryRight:
        """Return what a delivery capability grants access to.

        Raises:
            NotFound: forged, damaged or expired; the error does not say which.
        """
        delivery = self.authentic_right(capability)
        if delivery.expires_at <= self._clock.now().timestamp():
            raise NotFound(_GONE)
        return delivery

    def authentic_right(self, capability: str) -> DeliveryRight:
        """What an authentic delivery capability grants access to, expired or not.

        Raises:
            NotFound: forged or damaged.
        """
        delivery = self._authentic(capability)
        if delivery is None:
            raise NotFound(_GONE)
        return delivery

    def is_authentic(self, capability: str) -> bool:
        """Whether this server made the capability, expired or not. Distinguishes our links from foreign ones."""
        return self._authentic(capability) is not None

    def stream(self, prediction_id: str) -> str:
        """Make the capability for a prediction's event stream. It is valid as long as the data exists."""
        return f"{prediction_id}-{self.stream_mac(prediction_id)}"

    def stream_mac(self, signed: str) -> str:
        """The MAC in that capability, which is its last part."""
        return self._mac("stream", signed)

    def stream_macs(self, one: bytes, other: bytes) -> tuple[bytes, bytes]:
        """Two of them, as bytes, in fewer calls."""
        digest = self._signer.digest
        first, second = digest(b"stream\n" + one)[:_MAC_BYTES], digest(b"stream\n" + other)[:_MAC_BYTES]
        shown = b2a_base64(first + b"\0\0" + second).translate(_URL_SAFE)  # each begins where three bytes do
        return shown[:_MAC_CHARACTERS], shown[24 : 24 + _MAC_CHARACTERS]

    def stream_path(self, prediction_id: str, *, files: bool = False) -> str:
        """Make the path of a stream link; `files` if the output is files (contract 12.1: a client checks it)."""
        capability = self.stream(prediction_id)
        return f"/v1/files/stream-{capability}" if files else f"/v1/streams/{capability}"

    def verify_stream(self, capability: str) -> str:
        """Return the prediction id of a stream capability, which is given without `stream-`.

        Raises:
            NotFound: forged or damaged.
        """
        match = _STREAM.fullmatch(capability)
        if match is None or not hmac.compare_digest(match[2], self._mac("stream", match[1])):
            raise NotFound("This stream link is not valid.")
        return match[1]

    def hook_path(self, prediction_id: str, attempt: int, provider: str) -> str:
        """Make the path at which a provider's service may send webhooks about this attempt of a prediction."""
        text = f"{prediction_id}-{_base36(attempt)}-{provider}"
        return f"/v1/upstreams/hooks/{text}-{self._mac('upstream hook', text)}"

    def place(self, text: str) -> str:
        """Stands for an address and a token without telling them; it grants nothing."""
        return self._mac("place", text)

    def verify_hook(self, capability: str) -> tuple[str, int, str]:
        """Return the prediction's id, the attempt and the provider of such a path's last part.

        Raises:
            NotFound: forged or damaged.
        """
        match = _HOOK.fullmatch(capability)
        if match is None or not hmac.compare_digest(match[4], self._mac("upstream hook", capability[: match.end(3)])):
            raise NotFound("There is no such address for webhooks.")
        return match[1], int(match[2], 36), match[3]

    def _authentic(self, capability: str) -> DeliveryRight | None:
        match = _DELIVERY.fullmatch(capability)
        if match is None:
            return None
        if not hmac.compare_digest(match[4], self._mac("delivery", capability[: match.end(3)])):
            return None
        return DeliveryRight(prediction_id=match[1], index=int(match[2], 36), expires_at=int(match[3], 36))

    def _mac(self, purpose: str, text: str) -> str:
        # the purpose is signed too, so that a capability for one thing grants nothing else
        return _shown(self._signer.digest(f"{purpose}\n{text}".encode())).decode()


def _shown(digest: bytes) -> bytes:
    # as base64.urlsafe_b64encode without padding, at a quarter of its time
    return b2a_base64(digest[:_MAC_BYTES]).translate(_URL_SAFE)[:_MAC_CHARACTERS]


def download_signature(secret: bytes, *, owner: str, file_id: str, expiry: int) -> str:
    """Sign the download of an uploaded file, unquoted. Source: contract section 13.3."""
    return base64.b64encode(hmac.digest(secret, f"{owner} {file_id} {expiry}".encode(), "sha256")).decode()


def download_query(secret: bytes, *, owner: str, file_id: str, expiry: int) -> str:
    """The query of a download link. Source: contract section 13.3."""
    signature = download_signature(secret, owner=owner, file_id=file_id, expiry=expiry)
    return urlencode({"expiry": expiry, "owner": owner, "signature": signature})


def check_download(secret: bytes, *, owner: str, file_id: str, expiry: int, signature: str, now: datetime) -> None:
    """Accept a signed download.

    Raises:
        Forbidden: wrong or expired; the error does not say which (contract 13.3).
    """
    right = download_signature(secret, owner=owner, file_id=file_id, expiry=expiry)
    # bytes: compare_digest refuses text beyond ASCII, and the signature comes from a client
    is_right = bool(secret) and hmac.compare_digest(signature.encode("utf-8", "replace"), right.encode())
    if not is_right or expiry <= now.timestamp():
        raise Forbidden(f"The download link of file {file_id} is not valid or has expired.")


def own_link(url: str) -> OwnLink | None:
    """Recognise the form of this server's own links, with any origin, any path before it, and any encoding of the
    prefix.

    The origin proves nothing: behind proxies and tunnels this server has many. The form alone proves nothing either;
    only the signature or the file's record does.
    """
    if len(url) > _LONGEST:  # checked first: a foreign link may have megabytes
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.netloc or len(parts.path) > _LONGEST_PATH:
        return None
    path = _SLASHES.sub("/", unquote(parts.path))
    delivered = _DELIVERED.search(path)
    if delivered is not None:
        return DeliveryLink(capability=delivered[1])
    match = _FILE.fullmatch(path)
    if match is None:
        return None
    return _signed(match[1], parts.query) if match[2] else FileLink(file_id=match[1])


def _signed(file_id: str, query: str) -> FileLink | None:
    try:
        found = parse_qs(query, max_num_fields=20)
        expiry = int(found["expiry"][0])
        return FileLink(file_id=file_id, owner=found["owner"][0], expiry=expiry, signature=found["signature"][0])
    except (KeyError, ValueError):
        return None


def _base36(number: int) -> str:
    digits = ""
    while True:
        number, last = divmod(number, 36)
        digits = _DIGITS[last] + digits
        if not number:
            return digits
