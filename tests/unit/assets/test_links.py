"""Links as rights: made, checked, recognised, ended."""

import base64
import hmac
from datetime import UTC, datetime, timedelta

import pytest

from halley.assets.links import (
    DeliveryLink,
    FileLink,
    LinkSigner,
    check_download,
    download_signature,
    own_link,
)
from halley.errors import Forbidden, NotFound
from halley.testing.clock import T0, FakeClock

KEY = b"k" * 32
ID = "01jb3kt7vfx9n8m2c4d6e8f0gh"
HOUR = 3600


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def links(clock: FakeClock) -> LinkSigner:
    return LinkSigner(KEY, clock, 24 * HOUR)


def test_a_delivery_link_says_what_it_is_for(links: LinkSigner) -> None:
    found = links.verify(links.delivery(ID, 37))
    assert (found.prediction_id, found.index) == (ID, 37)


def test_a_delivery_link_ends_in_the_quoted_name(links: LinkSigner) -> None:
    path = links.delivery_path(ID, 0, "ü /?.png")
    assert path.startswith("/d/")
    assert path.endswith("/%C3%BC%20%2F%3F.png")
    assert own_link(f"http://any.example:1986{path}") == DeliveryLink(capability=path.split("/")[2])


def test_links_of_half_a_life_are_equal_and_live_for_half_of_it_at_least(links: LinkSigner, clock: FakeClock) -> None:
    seen: set[str] = set()
    expiries: set[int] = set()
    for _ in range(24):
        capability = links.delivery(ID, 0)
        life = links.verify(capability).expires_at - clock.now().timestamp()
        assert 12 * HOUR <= life <= 24 * HOUR
        seen.add(capability)
        expiries.add(links.expiry(clock.now()))
        clock.advance(HOUR)
    assert len(seen) == len(expiries) <= 3


def test_a_link_never_outlives_the_data(links: LinkSigner, clock: FakeClock) -> None:
    ends = clock.now() + timedelta(minutes=5)
    capability = links.delivery(ID, 0, data_ends_at=ends)
    assert links.verify(capability).expires_at <= ends.timestamp()
    clock.advance(301)
    with pytest.raises(NotFound):
        links.verify(capability)


def test_an_expired_link_is_refused_in_the_same_words_as_a_forged_one(links: LinkSigner, clock: FakeClock) -> None:
    capability = links.delivery(ID, 0)
    forged = f"{capability[:-1]}{'A' if capability[-1] != 'A' else 'B'}"
    clock.advance(25 * HOUR)
    answers = set()
    for one in (capability, forged, "", "x", "../..", capability + "x", capability.upper()):
        with pytest.raises(NotFound) as caught:
            links.verify(one)
        answers.add(str(caught.value))
    assert len(answers) == 1


def test_no_part_of_a_capability_can_be_changed(links: LinkSigner) -> None:
    capability = links.delivery(ID, 1)
    links.verify(capability)
    for at in range(len(capability)):
        changed = capability[:at] + ("0" if capability[at] != "0" else "1") + capability[at + 1 :]
        with pytest.raises(NotFound):
            links.verify(changed)


def test_another_key_makes_other_links(links: LinkSigner, clock: FakeClock) -> None:
    other = LinkSigner(b"o" * 32, clock, 24 * HOUR)
    with pytest.raises(NotFound):
        other.verify(links.delivery(ID, 0))
    assert links.is_authentic(links.delivery(ID, 0))
    assert not other.is_authentic(links.delivery(ID, 0))


def test_a_short_key_is_refused(clock: FakeClock) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        LinkSigner(b"short", clock)


def test_links_end_in_the_standard_text_of_their_mac(links: LinkSigner) -> None:
    for number in range(200):
        prediction_id = f"{ID[:-3]}{number:03}"
        mac = hmac.digest(KEY, f"stream\n{prediction_id}".encode(), "sha256")[:16]
        text = base64.urlsafe_b64encode(mac).decode().rstrip("=")
        assert links.stream(prediction_id) == f"{prediction_id}-{text}"


def test_a_stream_link_does_not_expire_and_has_its_own_purpose(links: LinkSigner, clock: FakeClock) -> None:
    capability = links.stream(ID)
    assert links.stream_path(ID) == f"/v1/streams/{capability}"
    assert links.stream_path(ID, files=True) == f"/v1/files/stream-{capability}"
    clock.advance(1000 * 24 * HOUR)
    assert links.verify_stream(capability) == ID
    with pytest.raises(NotFound):
        links.verify_stream(f"{ID}-{links.delivery(ID, 0)[-22:]}")
    with pytest.raises(NotFound):
        links.verify_stream(capability[:-1])


def test_a_download_signature_is_the_documented_one() -> None:
    # contract 13.3
    signature = download_signature(
        b"files-secret", owner="acme", file_id="cneqzikepnug6xezperrr4z55o", expiry=1767225600
    )
    assert signature == "FdmcOzyd1a0j+iNsODI4tlgFnHyNsELCybBIPwSKXiI="


def test_the_secret_of_downloads_is_not_the_key(links: LinkSigner, clock: FakeClock) -> None:
    assert len(links.files_secret) == 32
    assert links.files_secret == LinkSigner(KEY, clock).files_secret != KEY
    assert LinkSigner(b"o" * 32, clock).files_secret != links.files_secret


@pytest.mark.parametrize("change", [{"owner": "other"}, {"expiry": 1767225601}, {"signature": "x"}, {"signature": "ü"}])
def test_a_wrong_download_signature_is_forbidden(change: dict[str, str | int]) -> None:
    signature = download_signature(b"secret", owner="acme", file_id=ID, expiry=1767225600)
    asked = {"owner": "acme", "file_id": ID, "expiry": 1767225600, "signature": signature}
    now = datetime(2025, 12, 31, tzinfo=UTC)
    check_download(b"secret", now=now, **asked)  # type: ignore[arg-type]
    with pytest.raises(Forbidden):
        check_download(b"secret", now=now, **{**asked, **change})  # type: ignore[arg-type]


def test_a_download_ends_and_an_empty_secret_signs_nothing() -> None:
    expiry = int(T0.timestamp())
    signature = download_signature(b"secret", owner="a", file_id=ID, expiry=expiry)
    with pytest.raises(Forbidden):
        check_download(b"secret", owner="a", file_id=ID, expiry=expiry, signature=signature, now=T0)
    unsigned = download_signature(b"", owner="a", file_id=ID, expiry=expiry + 9)
    with pytest.raises(Forbidden):
        check_download(b"", owner="a", file_id=ID, expiry=expiry + 9, signature=unsigned, now=T0)


@pytest.mark.parametrize("prefix", ["", "/v1", "/v1/v1", "/replicate", "/replicate/v1", "/replicate/v1/v1"])
def test_a_file_url_is_recognised_under_every_prefix(prefix: str) -> None:
    assert own_link(f"http://h:1986{prefix}/files/{ID}") == FileLink(file_id=ID)
    assert own_link(f"https://proxy.example{prefix}/files/{ID}/") == FileLink(file_id=ID)
    url = f"https://h{prefix}/files/{ID}/download?expiry=17&owner=acme&signature=a%2Bb%3D"
    assert own_link(url) == FileLink(file_id=ID, owner="acme", expiry=17, signature="a+b=")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "not a url",
        f"/files/{ID}",
        f"ftp://h/files/{ID}",
        f"https://h/x/files/{ID}",
        f"https://h/files/{ID}/more",
        f"https://h/files/{ID[:-1]}",
        f"https://h/files/{ID.upper()}",
        f"https://h/files/{ID}/download",
        f"https://h/files/{ID}/download?expiry=x&owner=a&signature=s",
        "https://h/d/report/file.png",
        "https://h/d/",
        "http://[h/d/x",
    ],
)
def test_other_urls_are_not_ours(url: str) -> None:
    assert own_link(url) is None
