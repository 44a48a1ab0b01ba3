"""Sends everything that goes to the parent on DATA, in order: log text, outputs, metrics, ends.

One lock guards the buffered log text, the deferred frames and the socket. Log text is sent when much is buffered,
before any other frame of its prediction, or after a short time by the drain thread. Until then it is also in the output
journal, memory that survives the death of this process.
"""

from __future__ import annotations

import codecs
import os
import select
import socket
import threading
import time
from typing import Callable, Dict, List, Optional

from .descriptors import move_high
from .frames import pack, to_json
from .output_journal import OutputJournalWriter
from .prediction import Prediction, current

GATHER_MS = 50  # too short for a person to notice; frequent prints become at most 20 frames a second
LOG_FRAME_CHARS = 64 * 2**10
EXIT_CUT_OFF = 213
"""The exit status when a model has closed or broken the connection. The server's `endings` module knows it."""

DRAIN_ROUNDS = 64  # a background process that never stops writing must not delay the end of a prediction

# Imported before the model, which may replace these names in their modules.
_read, _write, _exit, _close, _monotonic = os.read, os.write, os._exit, os.close, time.monotonic


class Journal:
    """The only writer of DATA."""

    def __init__(self, sock: socket.socket, pipe: int, written: OutputJournalWriter) -> None:
        self.running: Dict[Optional[str], Prediction] = {}
        self.replica = Prediction()
        self.defer: Optional[Callable[[], bool]] = None
        """Called after frames were added; True means that `send` will be called soon (async predictors)."""
        self.forked = False
        self._sock = sock
        self._send_bytes = sock.send
        self._pipe = pipe
        self._written = written
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        # re-entrant: a finaliser may print while this thread holds the lock, see `_inside`
        self._lock = threading.RLock()
        self._inside = False
        self._frames: List[bytes] = []
        self._unsent = b""
        self._waiting: List[Prediction] = []
        self._armed = False
        self._wake_reading, self._wake_writing = map(move_high, os.pipe())
        os.set_blocking(self._wake_writing, False)

    # ---- log text -------------------------------------------------------------------------------

    def log(self, text: str) -> None:
        """Add log text to the prediction in whose context the caller runs, or to the most likely one."""
        if self.forked:
            _write_raw(text)
            return
        with self._lock:
            target = current.get()
            if target is None or target.ended:
                target = self.likely_owner()
            self._gather(target, text)

    def log_replica(self, text: str) -> None:
        """Add text to the replica's own log, even while predictions run."""
        if not self.forked:
            with self._lock:
                self._gather(self.replica, text)

    def likely_owner(self) -> Prediction:
        """The owner of text without a context: the only running prediction, otherwise the replica."""
        if len(self.running) == 1:
            for prediction in self.running.values():
                return prediction
        return self.replica

    def _gather(self, target: Prediction, text: str, is_raw: bool = False) -> None:
        if not self._written.note(target, text, is_raw) and not self._inside:
            self._send_waiting()
            self._written.note(target, text, is_raw)
        if not target.texts:
            self._waiting.append(target)
            target.texts = []
        target.texts.append(text)
        target.size += len(text)
        target.said += len(text)
        if target.size >= LOG_FRAME_CHARS and not self._inside:
            self._put_logs(target)
            self._send_now()
        elif not self._armed:
            self._armed = True
            self._wake()

    def _wake(self) -> None:
        try:
            _write(self._wake_writing, b"x")
        except OSError:  # full, so its reader is awake; or closed by the model: the next frame sends the text
            pass

    def _put_logs(self, target: Prediction) -> None:
        texts, target.texts, target.size = target.texts or [], None, 0
        if target in self._waiting:
            self._waiting.remove(target)
        text = "".join(texts)
        for start in range(0, len(text), LOG_FRAME_CHARS):
            piece = to_json(text[start : start + LOG_FRAME_CHARS])
            if target.id is None:
                self._frames.append(pack('{"t":"log","id":null,"text":%s}' % piece))
            else:
                target.n += 1
                self._frames.append(pack('{"t":"log","id":%s,"n":%d,"text":%s}' % (target.key, target.n, piece)))

    def _drain(self) -> None:
        """Read what is in the pipe of descriptors 1 and 2. The caller holds the lock."""
        for _ in range(DRAIN_ROUNDS):
            try:
                piece = self._written.read(self._pipe)
            except OSError:  # empty; or closed by the model
                return
            if not piece:
                return
            text = self._decoder.decode(piece)
            if text:
                self._gather(self.likely_owner(), text, is_raw=True)
            self._written.forget(len(piece))

    # ---- frames ---------------------------------------------------------------------------------

    def begin(self, prediction: Prediction) -> None:
        """Note that log text without a context may belong to this prediction from now on."""
        with self._lock:
            if self._waiting:
                self._flush()
            self.running[prediction.id] = prediction

    def emit(self, prediction: Prediction, kind: str, rest: str) -> None:
        """Send one numbered frame, after all log text of its prediction.

        `rest` is JSON text: the members after `t`, `id` and `n`, with a comma before each.

        Raises:
            FrameTooLarge: nothing but the log text was sent.
        """
        if self.forked:
            return
        with self._lock:
            self._emit(prediction, kind, rest)

    def _emit(self, prediction: Prediction, kind: str, rest: str) -> None:
        if len(self.running) <= 2:  # where more run, the text belongs to none of them: the drain thread reads it
            self._drain()
        self._inside = True
        try:
            if prediction.texts:
                self._put_logs(prediction)
            frame = pack('{"t":"%s","id":%s,"n":%d%s}' % (kind, prediction.key, prediction.n + 1, rest))
            prediction.n += 1
            self._frames.append(frame)
        finally:
            self._inside = False
        if self.defer is None or not self.defer():
            self._send_now()

    def finish(self, prediction: Prediction, rest: str) -> None:
        """Send `done`, and give this prediction no more log text.

        Raises:
            FrameTooLarge: the prediction is still running; call again with less.
        """
        if self.forked:
            _exit(0)  # a model forked, and its child returned into our code
        with self._lock:
            self._emit(prediction, "done", rest)
            self.running.pop(prediction.id, None)
            prediction.ended = True

    def send_replica_frame(self, text: str) -> None:
        """Send a frame about the replica itself, after its log text."""
        with self._lock:
            self._flush()
            self._frames.append(pack(text))
            self._send_now()

    def flush(self) -> None:
        """Send all buffered text and frames."""
        if self.forked:
            return
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        self._drain()
        self._send_waiting()

    def _send_waiting(self) -> None:
        self._inside = True
        try:
            for target in list(self._waiting):
                self._put_logs(target)
        finally:
            self._inside = False
        self._send_now()

    def send(self) -> None:
        """Send the frames that were deferred."""
        with self._lock:
            self._send_now()

    def _send_now(self) -> None:
        frames = self._frames
        if not frames and not self._unsent:
            return
        self._inside = True
        try:
            # if a signal handler raises here, the next call sends the rest first
            self._unsent += frames[0] if len(frames) == 1 else b"".join(frames)
            frames.clear()
            while self._unsent:
                sent = self._send_bytes(self._unsent)
                self._unsent = b"" if sent == len(self._unsent) else self._unsent[sent:]
            if not self._waiting:
                self._written.clear()
        except (BrokenPipeError, ConnectionResetError):
            _exit(0)  # the parent is gone; there is no reader left
        except OSError:  # the model closed the socket; the error cannot be reported
            _exit(EXIT_CUT_OFF)
        finally:
            self._inside = False

    # ---- the drain thread, and forks --------------------------------------------------------------

    def watch(self) -> None:
        """Run in its own thread: read the pipe when it fills, send log text that has been buffered long enough."""
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        poll.register(self._wake_reading, select.POLLIN)
        deadline: Optional[float] = None
        while True:
            rest_ms = None if deadline is None else max(0.0, deadline - _monotonic()) * 1000
            for descriptor, _ in poll.poll(rest_ms):
                if descriptor == self._wake_reading:
                    _read(descriptor, 16)
            with self._lock:
                self._armed = True  # the pipe need not wake this thread again
                self._drain()
                if deadline is None:
                    deadline = _monotonic() + GATHER_MS / 1000
                elif _monotonic() >= deadline:
                    self._flush()
                    self._armed, deadline = False, None

    def detach_from_parent(self) -> None:
        """In a forked child: send prints to descriptor 1 and stop using the protocol."""
        self.forked = True
        self._lock = threading.RLock()
        self._sock.close()
        _close(self._pipe)


def _write_raw(text: str) -> None:
    data = text.encode("utf-8", "replace")
    while data:
        try:
            data = data[_write(1, data) :]
        except OSError:  # closed by the model
            return
