"""The message types of runner protocol v1: the frames from and to a replica. One frame is one JSON object.

`n` numbers the frames of one prediction; they arrive in order, so only the runner needs it.
"""

import codecs
from typing import Final, Literal

import msgspec

from halley.dispatch.ports import Pointer, Work

PROTOCOL: Final = 1


def _tag(name: str) -> str:
    return name.removesuffix("Frame").lower()


class Frame(msgspec.Struct, tag_field="t", tag=_tag, gc=False):
    """Base of all frames. They contain no reference cycles, so the garbage collector need not track them."""


class HelloFrame(Frame):
    """The first frame of all."""

    v: int
    python: str = ""
    pid: int = 0
    way: Literal["isolated", "plain", "off"] = "off"
    """How the process is isolated; `why` if it differs from the server's request."""
    why: str = ""


class DescribedFrame(Frame):
    """What the model accepts and returns; sent before `setup()`."""

    schema: msgspec.Raw
    is_async: bool = msgspec.field(default=False, name="async")
    streams: bool = False
    max_concurrency: int = 1
    file_inputs: bool = True
    healthcheck: bool = False
    """Whether the model defines a health check; without one it is always healthy."""
    trains: bool = False
    """Whether the schema has a TrainingInput and a TrainingOutput, and mode `train` can be started."""
    warnings: tuple[str, ...] = ()


class RefusedFrame(Frame):
    """The model cannot be imported or inspected; the process ends."""

    error: str
    traceback: str = ""


class ReadyFrame(Frame):
    """`setup()` has ended; this many predictions may run at once."""

    slots: int = 1


class SetupFailedFrame(Frame, tag="setup_failed"):
    """`setup()` raised; the process ends."""

    error: str
    traceback: str = ""


class LogFrame(Frame):
    """Text that was printed; `id` is None if it belongs to no known prediction."""

    text: str
    id: str | None = None


class OutputFrame(Frame):
    """One item of an iterator."""

    id: str
    value: msgspec.Raw
    paths: tuple[Pointer, ...] = ()


class MetricFrame(Frame):
    """A metric that the model recorded."""

    id: str
    name: str
    value: object = None
    mode: Literal["replace", "incr", "append"] = "replace"


class DoneFrame(Frame):
    """The prediction has ended and its slot is free."""

    id: str
    status: Literal["succeeded", "failed", "canceled"]
    error: str | None = None
    traceback: str | None = None
    has_value: bool = False
    value: msgspec.Raw = msgspec.Raw(b"null")
    paths: tuple[Pointer, ...] = ()
    predict_time: float | None = None


class PongFrame(Frame):
    """The answer to a ping, on the control socket."""

    n: int = 0


class HealthFrame(Frame):
    """The answer to a healthcheck, on the control socket, at the latest after 5 s."""

    n: int = 0
    status: Literal["healthy", "unhealthy"] = "healthy"
    error: str | None = None


class BeatFrame(Frame):
    """The answer to a pulse, on the control socket."""

    n: int = 0


class PredictFrame(Frame):
    """Begin this prediction. `paths` point at the members of `input` that are local files."""

    id: str
    attempt: int
    input: msgspec.Raw
    paths: tuple[Pointer, ...] = ()
    folder: str | None = None
    context: msgspec.Raw = msgspec.Raw(b"{}")


class TrainFrame(PredictFrame):
    """Begin this training, in a process that was started in mode `train`; it is reported like a prediction."""


class HealthcheckFrame(Frame):
    """Ask the model for its health, also while it runs something; on the control socket. No answer before `Ready`."""

    n: int = 0


class CancelFrame(Frame):
    """Stop this prediction; on the control socket, so it may arrive before `Predict`."""

    id: str


class PingFrame(Frame):
    """Check that the process responds; on the control socket, so that a running prediction does not delay the
    answer.
    """

    n: int


class PulseFrame(Frame):
    """Check that the event loop of the predictions runs; on the control socket. Only an async model answers."""

    n: int = 0


class StopFrame(Frame):
    """End the process; on the control socket."""


Other = (
    HelloFrame | DescribedFrame | RefusedFrame | ReadyFrame | SetupFailedFrame | LogFrame | OutputFrame | MetricFrame
)
FromReplica = Other | DoneFrame

Answer = PongFrame | HealthFrame | BeatFrame

_INPUT_PLACE: Final = msgspec.Raw(b"0")  # placeholder for an input that is sent beside its frame
_NO_CONTEXT: Final = msgspec.Raw(b"{}")
_SMALL_BYTES: Final = 16 * 2**10
_PLAIN: Final = b'{"t":"predict","id":%b,"attempt":%d,"input":%b,"paths":[],"folder":%b,"context":{}}'

_PIECE_BYTES: Final = 256 * 2**10
_utf8: Final = codecs.getincrementaldecoder("utf-8")

encode: Final = msgspec.json.Encoder().encode
_decoder: Final[msgspec.json.Decoder[FromReplica]] = msgspec.json.Decoder(FromReplica)

_answers: Final[msgspec.json.Decoder[Answer]] = msgspec.json.Decoder(Answer)


def decode_answer(body: bytes | bytearray) -> Answer:
    """Read a frame of a replica on CONTROL.

    Raises:
        ValueError: it is not protocol v1.
    """
    try:
        return _answers.decode(body)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def predict(work: Work) -> tuple[bytes, ...]:
    """The PredictFrame of this work, in one piece or three. In three, the second is a large input, which is not
    copied.
    """
    if not work.paths and work.context is None and len(work.input) <= _SMALL_BYTES:
        return (_PLAIN % (encode(work.prediction_id), work.attempt, work.input, encode(work.folder)),)
    frame = PredictFrame(
        id=work.prediction_id,
        attempt=work.attempt,
        input=_INPUT_PLACE,
        paths=work.paths,
        folder=work.folder,
        context=_NO_CONTEXT if work.context is None else msgspec.Raw(work.context),
    )
    before, member, after = encode(frame).partition(b'"input":0')
    return before + member[:-1], work.input, after


def decode(body: bytes | bytearray) -> FromReplica:
    """Read a frame of a replica.

    Raises:
        ValueError: it is not protocol v1.
    """
    if not body.isascii():
        _check_utf8(body)  # raw values are passed on undecoded, so invalid UTF-8 must be refused here
    try:
        return _decoder.decode(body)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _check_utf8(body: bytes | bytearray) -> None:
    if len(body) <= _PIECE_BYTES:
        body.decode()
        return
    decoder = _utf8()  # in pieces: the text of 30 MiB may take four times as much memory
    with memoryview(body) as view:
        for start in range(0, len(view), _PIECE_BYTES):
            decoder.decode(view[start : start + _PIECE_BYTES])
    decoder.decode(b"", final=True)
