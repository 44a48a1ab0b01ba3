"""Checks at start the private parts of uvicorn that `protocol` uses, since uvicorn does not guarantee them."""

from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

_NEEDED_METHODS: Final = (
    "connection_made",
    "connection_lost",
    "data_received",
    "on_message_begin",
    "on_url",
    "on_header",
    "on_headers_complete",
    "on_body",
    "on_message_complete",
    "on_response_complete",
    "eof_received",
    "send_400_response",
    "pause_writing",
    "resume_writing",
    "shutdown",
    "_start_asgi_task",
    "_unset_keepalive_if_required",
)
_NEEDED_MEMBERS: Final = (
    "cycle",
    "pipeline",
    "flow",
    "transport",
    "parser",
    "server_state",
    "server",
    "client",
    "scheme",
    "loop",
    "tasks",
)
_NEEDED_OF_CYCLE: Final = (
    "response_started",
    "response_complete",
    "disconnected",
    "message_event",
    "scope",
    "transport",
    "chunked_encoding",
    "expected_content_length",
    "keep_alive",
    "on_response",
    "waiting_for_100_continue",
)


def missing_in_uvicorn() -> list[str]:
    """Names that are used and do not exist; empty if all do."""
    members = HttpToolsProtocol.__init__.__code__.co_names
    missing = [name for name in _NEEDED_METHODS if not hasattr(HttpToolsProtocol, name)]
    missing += [name for name in _NEEDED_MEMBERS if name not in members]
    cycle = RequestResponseCycle.__init__.__code__.co_names
    missing += [name for name in _NEEDED_OF_CYCLE if name not in cycle]
    return missing + [name for name in ("run_asgi",) if not hasattr(RequestResponseCycle, name)]
