"""Package indexes: uv gets the configuration of pip, so that both download from the same places.

Source: the documentation of pip's configuration files and of uv's environment variables.
"""

import configparser
from collections.abc import Mapping
from pathlib import Path
from typing import Final

PASSED: Final = frozenset({
    "PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "XDG_CACHE_HOME", "XDG_CONFIG_HOME",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
    "CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS", "PKG_CONFIG_PATH", "CMAKE_PREFIX_PATH", "CUDA_HOME", "MAX_JOBS",
})  # fmt: skip
"""Variables of the server's environment that a build gets, besides LC_*, PIP_* and UV_*."""

_ELSEWHERE: Final = frozenset({"PIP_PREFIX", "PIP_TARGET", "PIP_USER", "PIP_ROOT", "PIP_PYTHON", "UV_PYTHON"})
_FILES: Final = ("/etc/xdg/pip/pip.conf", "/etc/pip.conf", "~/.pip/pip.conf", "{config}/pip/pip.conf")
_TO_UV: Final = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
}
_LISTS: Final = {"find-links": ","}  # uv's separator between several values; a space for all others


def build_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a build: an allow-list, settings of pip and uv, no prompts, no colours."""
    passed = {
        name: value
        for name, value in environ.items()
        if name in PASSED or (name.startswith(("LC_", "PIP_", "UV_")) and name not in _ELSEWHERE)
    }
    passed |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}
    passed |= {"PIP_NO_COLOR": "1", "PYTHONUNBUFFERED": "1", "PIP_PROGRESS_BAR": "off"}
    return passed


def for_uv(environ: Mapping[str, str]) -> dict[str, str]:
    """The configuration of pip as settings of uv, without those that are set for uv. Blocks for small files."""
    said = _configured(environ)
    found = {}
    for word, variable in _TO_UV.items():
        value = environ.get(f"PIP_{word.upper().replace('-', '_')}") or said.get(word, "")
        if value.split() and variable not in environ:
            found[variable] = _LISTS.get(word, " ").join(value.split())
    return found


def _configured(environ: Mapping[str, str]) -> dict[str, str]:
    home = Path(environ.get("HOME", "/nonexistent"))
    config = environ.get("XDG_CONFIG_HOME") or str(home / ".config")
    named = environ.get("PIP_CONFIG_FILE")
    files = [file.format(config=config).replace("~", str(home), 1) for file in _FILES] + ([named] if named else [])
    parser = configparser.RawConfigParser()
    try:
        parser.read(files, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return {}  # pip reports this error itself; uv runs without the settings
    return {
        word: value
        for part in ("global", "install")
        if parser.has_section(part)
        for word, value in parser[part].items()
    }
