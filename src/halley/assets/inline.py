"""Checks files inside the input, as `data:` URLs: their minimum size is known without decoding."""

from typing import Any

from halley.assets.data_urls import is_data_url, least_size, too_large


def check_data_urls(value: Any, size: int, limit_bytes: int) -> None:
    """Refuse an input, of `size` bytes of JSON, that holds a file over the limit.

    Raises:
        TooLarge: it holds one.
    """
    if size <= limit_bytes:
        return  # no string in it can be over the limit
    waiting: list[Any] = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, str) and len(node) > limit_bytes and is_data_url(node) and least_size(node) > limit_bytes:
            raise too_large(limit_bytes)
