"""Modules that a replica loads late are whole for whoever uses them."""

import subprocess
import sys
from pathlib import Path

import pytest

import halley

RUNNER = Path(halley.__file__).parent / "runner"
START = f"import sys; sys.path.insert(0, {str(RUNNER)!r}); from _halley_runner.library import load_asyncio; "


def printed(code: str, *options: str) -> str:
    done = subprocess.run([sys.executable, *options, "-c", START + code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_an_event_loop_works_without_ssl() -> None:
    code = (
        "asyncio = load_asyncio()\n"
        "async def main(): return await asyncio.to_thread(int, '7'), await asyncio.sleep(0, 3)\n"
        "loop = asyncio.new_event_loop()\n"
        "print(loop.run_until_complete(main()), '_ssl' in sys.modules)"
    )
    assert printed(code) == "(7, 3) False"


@pytest.mark.parametrize(
    "use",
    [
        "import ssl; ssl.create_default_context()",
        "from ssl import create_default_context; create_default_context()",
        "from ssl import *; SSLError",
        "import ssl; assert 'SSLContext' in dir(ssl)",
        "import ssl; ssl.mine = 1; assert ssl.mine == 1",
        "import asyncio.sslproto; asyncio.sslproto.SSLProtocol",
        "from asyncio import sslproto; sslproto.SSLAgainErrors",
        "import importlib, ssl; importlib.reload(ssl)",
    ],
)
def test_whoever_uses_it_gets_the_whole_module(use: str) -> None:
    same = (
        "\nimport ssl, asyncio.base_events, types"
        "\nassert ssl.SSLContext is asyncio.base_events.ssl.SSLContext"
        "\nassert issubclass(ssl.SSLContext, __import__('_ssl')._SSLContext)"
        "\nassert ssl.__file__.endswith('ssl.py') and not hasattr(ssl, 'none')"
        "\nprint(type(ssl) is types.ModuleType, 'ssl' in sys.modules)"
    )
    assert printed(f"load_asyncio()\n{use}{same}") == "True True"


def test_threads_that_use_it_at_once_wait_until_it_is_whole() -> None:
    code = (
        "load_asyncio(); import ssl, threading\n"
        "found, start = [], threading.Barrier(8)\n"
        "def use(): start.wait(); found.append(ssl.get_default_verify_paths and ssl.SSLContext)\n"
        "threads = [threading.Thread(target=use) for _ in range(8)]\n"
        "[thread.start() for thread in threads]; [thread.join() for thread in threads]\n"
        "print(len(found), len(set(found)))"
    )
    assert printed(code) == "8 1"


def test_encrypted_connections_work(tmp_path: Path) -> None:
    code = (
        "asyncio = load_asyncio()\n"
        "async def main():\n"
        "    import ssl\n"
        "    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)\n"
        "    server = await asyncio.start_server(lambda r, w: w.close(), '127.0.0.1', 0)\n"
        "    port = server.sockets[0].getsockname()[1]\n"
        "    try: await asyncio.open_connection('127.0.0.1', port, ssl=context, server_hostname='x')\n"
        "    except (ssl.SSLError, OSError) as error: return type(error).__name__\n"
        "print(asyncio.new_event_loop().run_until_complete(main()))"
    )
    assert printed(code) in {"SSLEOFError", "ConnectionResetError", "SSLError", "ConnectionAbortedError"}


def test_a_module_of_the_model_does_not_take_its_place(tmp_path: Path) -> None:
    (tmp_path / "ssl.py").write_text("SSLContext = 'of the model'")
    code = f"load_asyncio(); sys.path.insert(0, {str(tmp_path)!r}); import ssl; print(ssl.SSLContext)"
    assert printed(code) == "<class 'ssl.SSLContext'>"


def test_a_module_that_is_loaded_stays_as_it_is() -> None:
    code = "import ssl; before = ssl.SSLContext; load_asyncio(); import ssl; print(ssl.SSLContext is before, type(ssl))"
    assert printed(code) == "True <class 'module'>"
