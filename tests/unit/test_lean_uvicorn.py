"""A server loads uvicorn without its command line, and whoever asks the package for its names still gets them."""

import subprocess
import sys


def _printed(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_the_server_loads_no_command_line_of_uvicorn() -> None:
    heavy = ["click", "uvicorn.main", "uvicorn.supervisors", "multiprocessing", "logging.handlers"]
    started = (
        "import sys, halley.app; from uvicorn.config import Config;"
        "Config(print, loop='none', ws='none', lifespan='off', interface='asgi3', log_config=None).load();"
    )
    assert _printed(f"{started} print([name for name in {heavy!r} if name in sys.modules])") == "[]"


def test_what_the_first_file_needs_is_not_loaded_before() -> None:
    late = ["yaml", "python_multipart", "stringprep", "difflib"]
    assert _printed(f"import sys, halley.app; print([name for name in {late!r} if name in sys.modules])") == "[]"


def test_no_other_http_client_is_loaded() -> None:
    late = ["urllib.request", "http.client", "xml.sax", "jinja2", "importlib.resources"]
    code = f"import sys, halley.app.serving; print([name for name in {late!r} if name in sys.modules])"
    assert _printed(code) == "[]"


def test_what_only_some_servers_need_is_not_loaded() -> None:
    late = ["halley.providers.replicate.provider", "httpcore2", "h11", "cryptography", "PIL", "pydantic", "typer"]
    assert _printed(f"import sys, halley.app; print([name for name in {late!r} if name in sys.modules])") == "[]"


def test_the_package_is_whole_for_whoever_asks() -> None:
    asked = (
        "import halley.api.server, uvicorn, uvicorn.main, uvicorn.server;"
        "print(uvicorn.Server is uvicorn.server.Server, callable(uvicorn.run), uvicorn.__version__ > '0')"
    )
    assert _printed(asked) == "True True True"


def test_the_reader_of_logging_configurations_is_whole_for_whoever_asks() -> None:
    asked = (
        "import halley.app, logging.config;"
        "logging.config.dictConfig({'version': 1, 'root': {'level': 'ERROR'}});"
        "print(logging.root.level == logging.ERROR, logging.config.DictConfigurator.__module__)"
    )
    assert _printed(asked) == "True logging.config"


def test_a_package_that_is_loaded_stays_as_it_is() -> None:
    code = "import sys, uvicorn as whole, halley.api, uvicorn; print(whole is uvicorn, 'click' in sys.modules)"
    assert _printed(code) == "True True"
