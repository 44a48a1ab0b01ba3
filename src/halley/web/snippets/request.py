"""What a snippet is about: a model, an input, and how its output is used."""

from typing import Any, Final, Literal, get_args

import msgspec

Client = Literal["python", "python2", "javascript", "go", "curl", "halley"]
Way = Literal["wait", "poll", "stream", "webhook"]
OutputKind = Literal["file", "files", "text", "value"]

CLIENTS: Final[tuple[Client, ...]] = get_args(Client)
WAYS: Final[tuple[Way, ...]] = get_args(Way)
KEY_NAME: Final = "REPLICATE_API_TOKEN"
WEBHOOK: Final = "https://example.com/hook"  # the reader's own address goes here


class SnippetRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One prediction as code. The key is never part of it: each snippet reads it from `REPLICATE_API_TOKEN`.

    `base_url` is the server's root, without `/v1`. `version` None means the newest one.
    """

    base_url: str
    model: str  # owner/name
    input: dict[str, Any]
    version: str | None = None
    output: OutputKind = "value"

    @property
    def owner(self) -> str:
        return self.model.partition("/")[0]

    @property
    def name(self) -> str:
        return self.model.partition("/")[2]

    @property
    def ref(self) -> str:
        """The model as clients name it: owner/name, or owner/name:version."""
        return self.model if self.version is None else f"{self.model}:{self.version}"

    @property
    def is_encrypted(self) -> bool:
        """Whether the server is reached over HTTPS: only then, clients make file objects of links."""
        return self.base_url.startswith("https:")


def output_kind(schema: Any) -> OutputKind:
    """What a model's `Output` schema says that its output is. Source: contract section 10 (`x-cog-array-display`)."""
    if not isinstance(schema, dict):
        return "value"
    if schema.get("type") == "string":
        return "file" if schema.get("format") == "uri" else "value"
    items = schema.get("items")
    if schema.get("type") != "array" or not isinstance(items, dict) or items.get("type") != "string":
        return "value"
    if items.get("format") == "uri":
        return "files"
    return "text" if schema.get("x-cog-array-display") == "concatenate" else "value"
