"""The code drawer: one client and one way, for what a form contains."""

from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from halley.web.snippets.code import LABELS, WAY_LABELS, code_for, shortened
from halley.web.snippets.request import CLIENTS, WAYS, Client, SnippetRequest, Way

_SECRET: Final = "..."  # noqa: S105 - what stands for one


class ShownCode(msgspec.Struct, frozen=True, kw_only=True):
    """The code. `left_out` are inputs that it does not contain: secrets, and files inside the input."""

    client: Client
    way: Way
    text: str
    left_out: tuple[str, ...] = ()
    is_open: bool = False

    @property
    def clients(self) -> Mapping[Client, str]:
        """The names of all clients."""
        return LABELS

    @property
    def ways(self) -> Mapping[Way, str]:
        """The names of all ways."""
        return WAY_LABELS


def shown_code(
    asked: SnippetRequest,
    *,
    client: str = "",
    way: str = "",
    secrets: Collection[str] = (),
    files: Collection[str] = (),
    is_open: bool = False,
) -> ShownCode:
    """The code of this client and way; of the first ones, if there are no such ones.

    `files` are inputs in which a link stands for a file that this server does not have yet.
    """
    hidden = [name for name in asked.input if name in secrets]
    public = {name: _SECRET if name in secrets else value for name, value in asked.input.items()}
    short, cut = shortened(msgspec.structs.replace(asked, input=public))
    chosen = next((one for one in CLIENTS if one == client), CLIENTS[0])
    chosen_way = next((one for one in WAYS if one == way), WAYS[0])
    return ShownCode(
        client=chosen,
        way=chosen_way,
        text=code_for(chosen, chosen_way, short),
        left_out=tuple(dict.fromkeys([*hidden, *cut, *(name for name in files if name in asked.input)])),
        is_open=is_open,
    )
