"""What meets foreign bytes: each with its words, the errors that it declares, and how to run it on one case."""

import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from struct import pack
from typing import Any, Final

from fuzz.cases import Words
from halley import strict_json
from halley.api.http.asgi import Call
from halley.api.presentation.paging import read_cursor
from halley.api.presentation.preferences import cancel_abandoned, cancel_after_seconds, wait_seconds
from halley.api.resources.multipart import read_upload
from halley.assets.content import Conditions, plan
from halley.assets.data_urls import check_data_url, decode_data_url, is_data_url, least_size
from halley.assets.fields import file_name, read_field
from halley.egress import AddressRules, Egress
from halley.errors import BadRequest, EncodingUnsupported, InputInvalid, Refused, TooLarge, Unusable
from halley.ids import is_id
from halley.replicas import frames
from halley.replicas.channel import Channel
from halley.replicas.cog_yaml import read_cog_yaml
from halley.runner._halley_runner.frames import Inbox
from halley.settings import LimitSettings, parse_seconds
from halley.webhooks.address import Receivers

KIB: Final = 1024


@dataclass(frozen=True)
class Target:
    """`run` may raise what is `declared` and nothing else. `large` is how long a shape is made."""

    name: str
    words: Words
    run: Callable[[bytes], object]
    declared: tuple[type[Exception], ...] = ()
    large: int = 32 * KIB
    seconds_per_byte: float = 4e-6
    """Of CPU, on a slow machine: what is linear takes a hundredth of it, what is not soon takes more."""


_LIMITS: Final = LimitSettings()
_TEN: Final = LimitSettings(json_values=1000, json_depth=20)


def _json(case: bytes) -> object:
    strict_json.is_heavy(case)
    strict_json.is_deeper(case, 20)
    return strict_json.parse(case, _TEN if len(case) % 2 else _LIMITS)


def _done(work: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end what waits for nothing."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits for something")


def _upload(case: bytes) -> object:
    boundary, _, body = case.partition(b"\n")
    cut = len(body) // 2
    waiting = [body[:cut], body[cut:]]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    content_type = b"multipart/form-data; boundary=" + boundary
    headers = {b"content-type": content_type}
    scope = {"method": "POST", "headers": list(headers.items())}
    upload = _done(read_upload(Call(scope, receive, "fuzz", headers, 0.0), _LIMITS))
    try:
        return upload.name, upload.content_type, upload.metadata(_LIMITS)
    finally:
        upload.close()


def _range(case: bytes) -> object:
    text = case.decode("latin-1")
    made = plan(
        name=text[:300],
        content_type=text,
        sha256="0" * 64,
        size_bytes=1000,
        max_age_seconds=None,
        conditions=Conditions(range_header=text, if_none_match=text, if_range=text if len(text) % 3 == 0 else None),
    )
    assert 0 <= made.start <= made.end <= 1000
    return made


def _prefer(case: bytes) -> object:
    text = case.decode("latin-1")
    wait = wait_seconds(text, 55.0)
    assert wait is None or 0 < wait <= 55
    cancel_abandoned(text)
    seconds = cancel_after_seconds(text)
    assert seconds is None or 5 <= seconds <= 86_400
    return wait


def _data_url(case: bytes) -> object:
    text = case.decode("utf-8", "replace")
    if not is_data_url(text):
        return None
    found = decode_data_url(text, 40_000)
    check_data_url(text, 40_000)
    assert least_size(text) <= len(found.data) <= 40_000
    return found


def _field(case: bytes) -> object:
    kind, parameters = read_field(case.decode("latin-1"))
    return kind, file_name(parameters)


def _cursor(case: bytes) -> object:
    text = case.decode("latin-1")
    is_id(text)
    return read_cursor({"cursor": text})


@cache
def _receivers() -> Receivers:
    return Receivers(Egress(AddressRules()), limit_bytes=_LIMITS.webhook_url_bytes, http=False, is_loopback_open=True)


def _webhook(case: bytes) -> object:
    return _receivers().fault(case.decode("utf-8", "replace"))


def _from_replica(case: bytes) -> object:
    try:
        return frames.decode(case)
    except ValueError:
        return frames.decode_answer(case)


def _split(case: bytes) -> object:
    """What a replica says, as the server takes it apart: a broken length or body is the end, and no error."""
    channel = object.__new__(Channel)
    taken: list[object] = []
    faults: list[str | None] = []
    channel._rest, channel._needed = bytearray(), 0
    channel._take = lambda bodies: taken.extend([frames.decode(body) for body in bodies])
    channel._end = faults.append  # type: ignore[method-assign]
    channel._split(case)
    return taken, faults


class _Sock:
    """Gives the case in a few pieces, as a socket does."""

    def __init__(self, case: bytes) -> None:
        self._left = case

    def recv(self, size: int) -> bytes:
        piece, self._left = self._left[: min(size, 1000)], self._left[min(size, 1000) :]
        return piece


def _to_replica(case: bytes) -> object:
    """What the server says, as the runner takes it apart."""
    inbox = Inbox(_Sock(case))  # type: ignore[arg-type]
    found = []
    while (frame := inbox.read()) is not None:
        found.append(frame)
    return found


class _Text(Path):
    """A file that is its own content."""

    _flavour = type(Path())._flavour  # type: ignore[attr-defined]
    content: bytes = b""

    def read_bytes(self) -> bytes:
        return self.content


def _cog_yaml(case: bytes) -> object:
    path = _Text("cog.yaml")
    path.content = case
    return read_cog_yaml(path)


def _framed(*bodies: bytes) -> bytes:
    return b"".join(pack("<I", len(body)) + body for body in bodies)


_JSON: Final = Words(
    examples=(
        b'{"input": {"prompt": "a \\u00e9\\n", "seed": 42, "scale": 1.5e3, "list": [1, 2, {"a": null}], "b": true}}',
        b'{"version": "owner/name", "input": {}, "webhook": "https://a.example/x", "webhook_events_filter": ["start"]}',
        b'["\\ud83d\\ude00", -0.0, 18446744073709551615, [], {}, "", "\\\\"]',
        b"[" * 15 + b"]" * 15,
    ),
    pieces=(
        *(
            b'"',
            b'\\"',
            b"\\",
            b"\\\\",
            b"\\u",
            b"\\u0000",
            b"\\ud83d",
            b"\\ude00",
            b"{",
            b"}",
            b"[",
            b"]",
            b"{}",
            b"[]",
        ),
        *(b":", b",", b'"a":', b'{"a":', b"1", b"-", b"1e5", b"9" * 30, b"null", b"true", b"NaN", b" ", b"\n", b"/**/"),
        *(b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3\xa9", b"\xed\xa0\x80", b"\x1f\x8b", b"--x", b"", b"'"),
    ),
)
_FRAMES: Final = (
    b'{"t":"hello","v":1,"python":"3.11","pid":5}',
    b'{"t":"log","id":"p","text":"hi"}',
    b'{"t":"output","id":"p","value":[1,{"a":"b"}],"paths":[["a",0],[]]}',
    b'{"t":"done","id":"p","status":"succeeded","has_value":true,"value":"x","predict_time":1.5}',
    b'{"t":"pong","n":3}',
    b'{"t":"health","n":1,"status":"unhealthy","error":"x"}',
)
_FRAME_PIECES: Final = (
    *_JSON.pieces,
    b'"t":',
    b'"paths":[[',
    b"log",
    b"\x00\x00\x00\x00",
    b"\x05\x00\x00\x00",
    b"\xff" * 4,
)

TARGETS: Final = (
    Target(
        name="duration",
        words=Words(
            examples=(b"1h30m", b"0.5s", b" 1 h 30 m ", b"30", b"9" * 60),
            pieces=(
                b"1",
                b"99",
                b".",
                b"1.5",
                b"s",
                b"m",
                b"h",
                b"d",
                b" ",
                b"x",
                b"-",
                b"!",
                b"\xd9\xa1",
                b"\n",
                b"1h",
            ),
        ),
        run=lambda case: parse_seconds(case.decode("utf-8", "replace")),
        declared=(ValueError,),
    ),
    Target(
        name="json",
        words=_JSON,
        run=_json,
        declared=(TooLarge, BadRequest, EncodingUnsupported, InputInvalid),
        large=48 * KIB,
    ),
    Target(
        name="multipart",
        words=Words(
            examples=(
                (
                    b'xyz\n--xyz\r\nContent-Disposition: form-data; name="content"; filename="a b.png"\r\n'
                    b"Content-Type: image/png\r\n\r\nbytes\r\n--xyz\r\n"
                    b'Content-Disposition: form-data; name=metadata\r\n\r\n{"a": {"b": "c"}}\r\n--xyz--\r\n'
                ),
                (
                    b'"q q"\n--q q\r\nContent-Disposition: form-data; name="metadata[a][b]"\r\n\r\nv\r\n--q q\r\n'
                    b"Content-Disposition: form-data; name=content; filename*=UTF-8''%e2%82%ac\r\n\r\n\r\n--q q--"
                ),
            ),
            pieces=(
                *(b"--xyz", b"--xyz--", b"\r\n", b"\r", b"\n", b"--", b"\r\n--xy", b"Content-Disposition: form-data; "),
                *(
                    b'name="content"',
                    b'name="metadata[a]',
                    b"[a]",
                    b"]",
                    b"[",
                    b"filename*=",
                    b"UTF-8''",
                    b"%00",
                    b"\\",
                ),
                *(b";", b'"', b":", b"=", b" ", b"x", b"\xff", b"content-transfer-encoding: base64", b""),
            ),
        ),
        run=_upload,
        declared=(BadRequest, TooLarge, InputInvalid, EncodingUnsupported),
        large=32 * KIB,
    ),
    Target(
        name="range",
        words=Words(
            examples=(b"bytes=0-99", b"bytes = 5 - ", b"bytes=-20", b'W/"abc", "def"', b"image/png; a=b"),
            pieces=(
                *(b"bytes=", b"bytes", b"=", b"-", b",", b" ", b"\t", b"0", b"99", b"9" * 40, b"x", b"*", b'"', b"W/"),
                *(b"\xb2", b"\xa0", b"+", b"/", b";", b""),
            ),
        ),
        run=_range,
    ),
    Target(
        name="prefer",
        words=Words(
            examples=(b"wait", b"wait=20.5, respond-async", b'wait="5"; a=b, cancel-abandoned', b"1h30m5s", b"90"),
            pieces=(
                *(
                    b"wait",
                    b"=",
                    b",",
                    b";",
                    b" ",
                    b"\t",
                    b'"',
                    b"\\",
                    b'\\"',
                    b"cancel-abandoned",
                    b"false",
                    b"5",
                    b".",
                ),
                *(b"9" * 40, b"h", b"m", b"s", b"-", b"1e9", b"\xb2", b"\xff", b"respond-async", b""),
            ),
        ),
        run=_prefer,
        declared=(InputInvalid,),
    ),
    Target(
        name="data-url",
        words=Words(
            examples=(
                b"data:image/png;base64,iVBORw0KGgo=",
                b"data:text/plain;charset=utf-8;name=a.txt,hello%20world",
                b"data:None;base64,aGk",
                b"DATA:,x",
                b'data:;filename="..%2Fa/b";base64,aG\r\nk=#x',
            ),
            pieces=(
                *(
                    b"data:",
                    b",",
                    b";",
                    b"base64",
                    b";base64,",
                    b"name=",
                    b"%41",
                    b"%",
                    b"%4",
                    b"=",
                    b"==",
                    b"aGk=",
                    b"A",
                ),
                *(b"-_", b"+/", b"\r\n", b" ", b"\t", b"#", b'"', b"\xc3\xa9", b"\xff", b"None", b"/", b""),
            ),
        ),
        run=_data_url,
        declared=(Refused, TooLarge),
        large=48 * KIB,
    ),
    Target(
        name="disposition",
        words=Words(
            examples=(
                b'form-data; name="content"; filename="a\\"b.png"',
                b"attachment; filename*=UTF-8''%e2%82%ac%20rates; filename=rates",
                b"inline; filename=C:\\dir\\a.txt",
            ),
            pieces=(
                *(
                    b";",
                    b"=",
                    b'"',
                    b"\\",
                    b'\\"',
                    b" ",
                    b"filename",
                    b"filename*",
                    b"UTF-8''",
                    b"''",
                    b"'",
                    b"%",
                    b"%ff",
                ),
                *(b"name=", b"/", b"a", b"\xff", b"\t", b"\r\n", b""),
            ),
        ),
        run=_field,
    ),
    Target(
        name="cursor",
        words=Words(
            examples=(b"bz0wMWtla3BxeWhieWd0M3BxNXAzeHlzNGg3", b"01kekpqyhbygt3pq5p3xys4h73"),
            pieces=(b"bz0", b"bj0", b"=", b"-", b"_", b"+", b"/", b"A", b"0", b"l", b"z", b" ", b"\xff", b"\xb2", b""),
        ),
        run=_cursor,
        declared=(BadRequest,),
    ),
    Target(
        name="webhook-url",
        words=Words(
            examples=(
                b"https://me:pw@receiver.example:8443/hook?a=b#c",
                b"http://127.0.0.1:80/x",
                b"https://[::ffff:10.0.0.1]/",
                "https://bücher.example/ä".encode(),
                b"https://0x7f.1/",
            ),
            pieces=(
                *(
                    b"https://",
                    b"http:",
                    b"//",
                    b"/",
                    b"@",
                    b":",
                    b"[",
                    b"]",
                    b"::",
                    b"%",
                    b"%2e",
                    b".",
                    b"..",
                    b"?",
                    b"#",
                ),
                *(
                    b"127.0.0.1",
                    b"localhost",
                    b"xn--",
                    b"xn--a",
                    b"0x",
                    b"65536",
                    b"-1",
                    b" ",
                    b"\t",
                    b"\n",
                    b"\\",
                    b"\x00",
                ),
                *("ß".encode(), "。".encode(), "\u0130".encode(), "\U0001f600".encode(), b"\xff", b"a", b"1", b""),
            ),
        ),
        run=_webhook,
    ),
    Target(
        name="frames-in",
        words=Words(examples=_FRAMES, pieces=_FRAME_PIECES),
        run=_from_replica,
        declared=(ValueError,),
        large=48 * KIB,
    ),
    Target(
        name="frames-split",
        words=Words(examples=(_framed(*_FRAMES), _framed(*_FRAMES[:2]), _framed(b"")), pieces=_FRAME_PIECES),
        run=_split,
        large=48 * KIB,
    ),
    Target(
        name="frames-out",
        words=Words(
            examples=(_framed(b'{"t":"predict","id":"p","attempt":1,"input":{"a":"b"}}', b'{"t":"ping","n":1}'),),
            pieces=_FRAME_PIECES,
        ),
        run=_to_replica,
        declared=(ValueError, RecursionError),  # the server bounds the depth of what it sends
        large=48 * KIB,
    ),
    Target(
        name="cog-yaml",
        words=Words(
            examples=(
                b'build:\n  gpu: true\n  python_version: "3.11"\n  python_packages:\n    - torch==2.1\nrun: "a:R"\n',
                b"predict: predict.py:Predictor\nconcurrency:\n  max: 4\nx-halley:\n  memory_limit: 2GB\n",
                b"train: train.py:train\nenvironment:\n  - A=b\nweights:\n  - source: https://a.example/w\n",
            ),
            pieces=(
                *(
                    b"build:",
                    b"run:",
                    b"concurrency:",
                    b"x-halley:",
                    b"\n",
                    b"  ",
                    b"- ",
                    b": ",
                    b"{",
                    b"}",
                    b"[",
                    b"]",
                ),
                *(b"&a", b"*a", b"<<: *a", b"!!python/object", b"!", b"|", b">", b"? ", b"'", b'"', b"#", b"%", b"@"),
                *(
                    b"true",
                    b"null",
                    b"1",
                    b"2001-99-99",
                    b"1e400",
                    b"0x1",
                    b"1:60",
                    b"\t",
                    b"\x00",
                    b"\xff\xfe",
                    b"\xc3\xa9",
                    b"",
                ),
            ),
        ),
        run=_cog_yaml,
        declared=(Unusable,),
        large=2 * KIB,
        seconds_per_byte=1e-3,  # the library reads each byte in many steps, three times
    ),
)


def by_name(name: str) -> Target:
    return next(target for target in TARGETS if target.name == name)


def quieten() -> None:
    """What targets log of fuzz would fill the screen."""
    logging.disable(logging.ERROR)
