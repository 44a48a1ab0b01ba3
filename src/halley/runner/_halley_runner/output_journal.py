"""Log text that is not sent yet, in memory that outlives this process.

The server made the memory and reads it after this process has ended in any way: no printed text is lost because it was
buffered. What comes out of the pipe is read straight into it, for the same reason.

Layout, which `halley.replicas.output_journal` reads: first one native number, the end of the records, with the flag
RAW_IS_NOTED above it (one number, since the process may be killed between any two writes); at RAW_AT the bytes that
were read from the pipe last; from TEXT_AT on the records. A record is: the length of its text, how many characters its
prediction had printed before, the length of its prediction's id, that id (empty: the replica itself), the text. The
last record's length is 0; its text extends to the end of the records.
"""

from __future__ import annotations

import mmap
import os
import struct
from typing import Optional

from .prediction import Prediction

RAW_AT = 4096
RAW_BYTES = 64 * 2**10  # the capacity of a pipe
TEXT_AT = RAW_AT + RAW_BYTES
SIZE_BYTES = 512 * 2**10  # room for the longest buffered text: LOG_FRAME_CHARS of four bytes each

RAW_IS_NOTED = 2**32  # the bytes read from the pipe last are among the records

_LENGTH = struct.Struct("<I")
_RECORD = struct.Struct("<IQH")
_EMPTY = bytes(RAW_BYTES)

_readv = os.readv  # imported before a model can replace it


class OutputJournalWriter:
    """For one writer at a time, which holds a lock. Without a descriptor it is ordinary memory that no other process
    reads.
    """

    def __init__(self, descriptor: Optional[int]) -> None:
        self._memory = mmap.mmap(-1 if descriptor is None else descriptor, SIZE_BYTES)
        if descriptor is not None:
            os.close(descriptor)
        self._state = memoryview(self._memory)[:8].cast("Q")
        self._raw = memoryview(self._memory)[RAW_AT:TEXT_AT]
        self._buffers = [self._raw]
        self._end = TEXT_AT
        self._noted = 0  # or RAW_IS_NOTED
        self._last: Optional[Prediction] = None
        self._last_at = 0  # where its record begins
        self._last_text_at = 0

    def read(self, pipe: int) -> bytes:
        """Read the bytes in the pipe; empty at its end. Call `forget` after they were noted.

        Raises:
            OSError: the pipe is empty, or closed.
        """
        return bytes(self._raw[: _readv(pipe, self._buffers)])

    def forget(self, size: int) -> None:
        """Drop so many of the bytes that were read last: they are noted, or belong to no prediction."""
        self._raw[:size] = _EMPTY[:size]
        self._noted = 0
        self._state[0] = self._end

    def note(self, target: Prediction, text: str, is_raw: bool) -> bool:
        """Record text of `target`, before it is counted in `said`. False if there is no room: send the buffered text
        and clear.

        `is_raw`: the text is what was read last.
        """
        data = text.encode("utf-8", "replace")
        if target is not self._last:
            if not self._begin(target, len(data)):
                return False
        elif self._end + len(data) > SIZE_BYTES:
            self._close()  # the next record does not continue this one
            return False
        end = self._end + len(data)
        self._memory[self._end : end] = data
        self._end = end
        if is_raw:
            self._noted = RAW_IS_NOTED
        self._state[0] = end + self._noted
        return True

    def clear(self) -> None:
        """Remove all records: their text has been sent."""
        if self._end != TEXT_AT:
            self._last = None
            self._end = TEXT_AT
            self._state[0] = TEXT_AT + self._noted

    def _begin(self, target: Prediction, size: int) -> bool:
        self._close()
        name = (target.id or "").encode("utf-8", "replace")
        head = _RECORD.pack(0, target.said, len(name)) + name
        at, text_at = self._end, self._end + len(head)
        if text_at + size > SIZE_BYTES:
            return False
        self._memory[at:text_at] = head
        self._last, self._last_at, self._last_text_at = target, at, text_at
        self._end = text_at
        return True

    def _close(self) -> None:
        if self._last is not None:
            _LENGTH.pack_into(self._memory, self._last_at, self._end - self._last_text_at)
            self._last = None
