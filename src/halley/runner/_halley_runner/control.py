"""The control thread: answers pings, forwards cancels, ends the process. It runs independently of the model's code."""

from __future__ import annotations

import os
import select
import socket
import threading
from typing import Callable, Optional

from .frames import Frame, Inbox, pack
from .health import Health

HANGUP = select.POLLHUP | select.POLLERR


class Control:
    """Reads the CONTROL socket, and watches DATA for the parent's end."""

    def __init__(self, control: socket.socket, data: socket.socket, cancel: Callable[[str], None]) -> None:
        self.cancel = cancel
        self.serving = False
        """False while the model is imported and set up; a stop then ends the process at once."""
        self.beat: Optional[Callable[[Callable[[], None]], object]] = None
        """Schedules a call in the event loop that runs the predictions, if there is one."""
        self.health: Optional[Health] = None
        """Set when `setup` has ended."""
        self._control = control
        self._data = data
        self._lock = threading.Lock()

    def watch(self) -> None:
        """Run in its own thread. When the parent is gone, end the process."""
        inbox = Inbox(self._control)
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._data, 0)  # hang-up is always reported
        while True:
            events = dict(poll.poll())
            if events.get(self._data.fileno(), 0) & HANGUP:
                os._exit(0)
            frames = inbox.read_ready()
            if frames is None:
                os._exit(0)
            for frame in frames:
                self._take(frame)

    def close(self) -> None:
        """Close both sockets, in a forked child: the parent process belongs to the replica alone."""
        self._control.close()

    def _take(self, frame: Frame) -> None:
        kind = frame.get("t")
        if kind == "cancel":
            self.cancel(frame["id"])
        elif kind == "ping":
            self._tell(pack('{"t":"pong","n":%d}' % frame.get("n", 0)))
        elif kind == "pulse":
            if self.beat is not None:
                self.beat(lambda: self._tell(pack('{"t":"beat","n":%d}' % frame.get("n", 0))))
        elif kind == "healthcheck":
            if self.health is not None:  # during setup there is no health check to ask
                self.health.ask(frame.get("n", 0), self._tell)
        elif kind == "stop":
            if not self.serving:
                os._exit(0)
            # the main thread ends when it has read the end of DATA and finished the running prediction
            self._data.shutdown(socket.SHUT_RD)

    def _tell(self, frame: bytes) -> None:
        with self._lock:
            self._control.sendall(frame)
