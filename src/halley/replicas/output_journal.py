"""Text that a model's process wrote and had not sent when it ended. The runner's writer defines the format.

Two things outlive a process: the memory in which it records log text until that is sent, and the pipe behind its
descriptors 1 and 2. We hold the pipe's reading end too, and read nothing while the process lives.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from struct import Struct
from typing import Final

import msgspec

RAW_AT: Final = 4096
RAW_BYTES: Final = 64 * 2**10
TEXT_AT: Final = RAW_AT + RAW_BYTES
SIZE_BYTES: Final = 512 * 2**10
PIPE_LIMIT_BYTES: Final = 2**20  # the largest size of a pipe

RAW_IS_NOTED: Final = 2**32

_STATE: Final = Struct("=Q")
_RECORD: Final = Struct("<IQH")


class UnsentOutput(msgspec.Struct, frozen=True, kw_only=True):
    """Log text that was not sent, or only in part. `before` is how many characters its owner had printed before it.

    `prediction_id` is None for the replica itself. If `before` is None, the owner is unknown.
    """

    text: str
    prediction_id: str | None = None
    before: int | None = None

    def after(self, received: int) -> str:
        """The part of it that comes after the first `received` characters of its owner."""
        return self.text if self.before is None else self.text[max(0, received - self.before) :]


class OutputJournal:
    """The server's side. The child gets the `child_descriptors`; then `close_child_descriptors` closes them here."""

    def __init__(self) -> None:
        """Raises OSError if there are no more descriptors; then nothing is left open."""
        self._memory = os.memfd_create("halley-output", os.MFD_CLOEXEC)
        try:
            os.ftruncate(self._memory, SIZE_BYTES)
            self._pipe, writing = os.pipe()
        except OSError:
            os.close(self._memory)
            raise
        os.set_blocking(self._pipe, False)  # applies to both holders of the end
        self._writing = writing

    @property
    def child_descriptors(self) -> tuple[int, int, int]:
        """Both ends of the pipe, and the memory, as descriptors."""
        return self._pipe, self._writing, self._memory

    def close_child_descriptors(self) -> None:
        """The child has the descriptors; close ours, so that the pipe ends with the last process that holds it."""
        os.close(self._writing)

    def close(self) -> None:
        """Close everything else; call it after `close_child_descriptors`."""
        os.close(self._pipe)
        os.close(self._memory)

    def unsent(self) -> list[UnsentOutput]:
        """The remaining text in the order of writing, as far as that is known. Call it after the process has ended.

        A model may have written into the memory: this accepts any content.
        """
        (state,) = _STATE.unpack(os.pread(self._memory, _STATE.size, 0))
        raw_is_noted, end = divmod(state, RAW_IS_NOTED)
        found = list(_records(os.pread(self._memory, max(0, min(end, SIZE_BYTES) - TEXT_AT), TEXT_AT)))
        raw = b"" if raw_is_noted else os.pread(self._memory, RAW_BYTES, RAW_AT).rstrip(b"\0")
        raw += self._rest_of_pipe()
        if raw:
            found.append(UnsentOutput(text=raw.decode(errors="replace")))
        return found

    def _rest_of_pipe(self) -> bytes:
        rest = b""
        with suppress(BlockingIOError):
            while len(rest) < PIPE_LIMIT_BYTES and (piece := os.read(self._pipe, RAW_BYTES)):
                rest += piece
        return rest


def _records(body: bytes) -> Iterator[UnsentOutput]:
    at = 0
    while at + _RECORD.size <= len(body):
        length, before, name_length = _RECORD.unpack_from(body, at)
        text_at = at + _RECORD.size + name_length
        end = text_at + length if length else len(body)
        name = body[at + _RECORD.size : text_at].decode(errors="replace")
        yield UnsentOutput(text=body[text_at:end].decode(errors="replace"), prediction_id=name or None, before=before)
        at = end
