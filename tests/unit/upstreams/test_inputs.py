"""Files in an input reach the service: as `data:` URLs, as uploads, or not at all."""

import json
import threading
from typing import Any

import msgspec
import pytest

from halley.assets.links import DeliveryLink
from halley.assets.own_inputs import OwnFile
from halley.dispatch.ports import Work
from halley.dispatch.upstream_hooks import HookPlace, UpstreamHint, UpstreamHooks
from halley.errors import NotFound, OutcomeUnknown, ProviderBusy, SubmitRefused
from halley.providers.services import inputs
from halley.testing.replicate.faults import ServiceFault, says
from halley.testing.replicate.opening import open_provider
from halley.testing.replicate.scripts import Stage
from halley.testing.replicate.server import serve
from halley.testing.replicate.service import TOKEN, FakeService, Style, kind_of

pytestmark = pytest.mark.anyio

OURS = "http://127.0.0.1:1986/d/ours/a.png"
GONE = "http://127.0.0.1:1986/d/gone/a.png"
THEIRS = "https://example.com/d/other/a.png"
URI = {"type": "string", "format": "uri"}


class Own:
    """The files of this server."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    async def find(self, link: str, *, prediction_id: str, account_id: str) -> OwnFile | None:
        assert (prediction_id, account_id) == ("p1", "me")
        if link == GONE:
            raise NotFound("the file was removed")
        if link != OURS:
            return None
        return OwnFile(name='a".png', content_type="image/png", sha256="", link=DeliveryLink(capability="ours"))

    async def public_path(self, file: OwnFile) -> str | None:
        return None if self.data == b"ends soon" else "/d/ours/a.png"

    async def read(self, file: OwnFile, limit_bytes: int) -> bytes:
        return self.data


async def sent(
    given: dict[str, Any],
    data: bytes = b"png",
    *,
    style: Style = "replicate",
    document: bytes = b"",
    input_links: bool | None = False,
    hooks: UpstreamHooks | None = None,
    **faults: ServiceFault,
) -> tuple[Any, FakeService]:
    """The input that the service got."""
    service = FakeService({"test/echo": lambda _: [Stage(status="processing")]}, style=style)
    for kind, fault in faults.items():
        service.plan(kind, fault)
    async with (
        serve(service) as server,
        open_provider(
            server.url,
            style,
            dependencies={
                "own_inputs": Own(data),
                "public_url": "https://halley.example/x",
                "hooks": None if hooks is None else hooks.of("back"),
            },
            rules={"data_url_bytes": 100, "input_links": input_links},
            documents={"echo": document},
        ) as provider,
    ):
        work = Work(
            prediction_id="p1",
            attempt=1,
            version="echo",
            model="test/echo",
            account_id="me",
            input=json.dumps(given).encode(),
        )
        if hooks is not None:  # a webhook for another run shows that the service reaches this server
            await provider.submit(msgspec.structs.replace(work, prediction_id="p0", input=b"{}"))
            hooks.receive(UpstreamHint(place=HookPlace("p0", 1, "back")))
        await provider.submit(work)
        run = service.runs[max(service.runs)]
        return run.input, service


async def test_a_small_file_becomes_a_data_url_and_other_links_stay() -> None:
    given = {"image": OURS, "more": [{"mask": OURS}, THEIRS], "text": f"see {OURS}", "n": 1}
    found, _ = await sent(given)
    url = "data:image/png;base64,cG5n"
    assert found == {"image": url, "more": [{"mask": url}, THEIRS], "text": f"see {OURS}", "n": 1}


async def test_a_larger_file_is_uploaded() -> None:
    found, service = await sent({"image": OURS}, b"\r\n--x\x00" * 50)
    assert found == {"image": f"https://api.replicate.com/v1/files/{1:026d}"}
    assert list(service.uploads.values()) == [b"\r\n--x\x00" * 50]
    [asked] = [one for one in service.asked if kind_of(one) == "upload"]
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"
    assert b'filename="a_.png"' in asked.body


async def test_a_large_data_url_is_uploaded_and_a_small_one_stays() -> None:
    small, large = "data:text/plain,hi", "data:text/plain;base64," + "QUJD" * 40
    found, service = await sent({"a": small, "b": large})
    assert found == {"a": small, "b": f"https://api.replicate.com/v1/files/{1:026d}"}
    assert list(service.uploads.values()) == [b"ABC" * 40]


async def test_with_a_schema_only_its_files_are_sent() -> None:
    schema = {"properties": {"image": URI, "prompt": {"type": "string"}}}
    document = json.dumps({"components": {"schemas": {"Input": schema}}}).encode()
    found, _ = await sent({"image": OURS, "prompt": OURS}, document=document)
    assert found == {"image": "data:image/png;base64,cG5n", "prompt": OURS}


async def test_an_input_without_files_is_sent_as_it_is() -> None:
    found, service = await sent({"text": "a" * 1000, "url": "https://example.com/x"})
    assert found == {"text": "a" * 1000, "url": "https://example.com/x"}
    assert len(service.asked) == 1


async def test_what_cannot_be_sent_is_refused_before_anything_is_begun() -> None:
    for given, style, message in (
        ({"image": GONE}, "replicate", "input.image: the file was removed"),
        ({"a": [OURS]}, "cometapi", "input.a.0: the file has 400 bytes"),
    ):
        with pytest.raises(SubmitRefused, match=message):
            await sent(given, b"x" * 400, style=style)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (says(413, {"detail": "too large"}), SubmitRefused),
        (says(429, b""), ProviderBusy),
        (says(502, b""), ProviderBusy),
        (ServiceFault(cut="answer"), ProviderBusy),
        (says(201, {"id": "x"}), ProviderBusy),
    ],
)
async def test_an_upload_that_fails_begins_nothing(fault: ServiceFault, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        await sent({"image": OURS}, b"x" * 400, upload=fault)
    assert not isinstance(caught.value, OutcomeUnknown)


async def test_a_service_that_reaches_this_server_gets_links() -> None:
    link = "https://halley.example/x/d/ours/a.png"
    given = {"image": OURS, "more": [OURS, THEIRS], "text": f"see {OURS}", "data": "data:text/plain,hi"}
    found, service = await sent(given, b"x" * 400, input_links=True)
    assert found == {**given, "image": link, "more": [link, THEIRS]}
    assert not service.uploads
    hooks = UpstreamHooks(str)
    assert (await sent({"image": OURS}, input_links=None, hooks=hooks))[0] == {"image": link}


async def test_without_a_proof_that_it_does_files_are_sent() -> None:
    url = "data:image/png;base64,cG5n"
    assert (await sent({"image": OURS}, input_links=None))[0] == {"image": url}
    hooks = UpstreamHooks(str)
    assert (await sent({"image": OURS}, input_links=False, hooks=hooks))[0] == {"image": url}
    found, _ = await sent({"image": OURS}, b"ends soon", input_links=True)  # no link lives long enough
    assert found["image"].startswith("data:")
    with pytest.raises(SubmitRefused, match="the file was removed"):
        await sent({"image": GONE}, input_links=True)


@pytest.mark.parametrize(("texts", "in_thread"), [(3, False), (10_000, True)])
async def test_an_input_with_many_texts_is_searched_in_a_thread(
    texts: int, in_thread: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    search = inputs.texts_in

    def noted(value: Any) -> Any:
        threads.append(threading.current_thread())
        return search(value)

    monkeypatch.setattr(inputs, "texts_in", noted)
    given = {"text": ["x"] * texts, "file": "data:text/plain,hi"}
    found, _ = await sent(given)
    assert found == given
    assert threads
    assert (threading.main_thread() in threads) != in_thread
