"""A server loads uvicorn without its command line, and whoever asks the package for its names still gets them."""

import subprocess
import sys


def _printed(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_the_server_loads_no_command_line_of_uvicorn() -> None:
    heavy = ["click", "uvicorn.main", "uvicorn.supervisors", "yaml", "python_multipart", "stringprep"]
    assert _printed(f"import sys, halley.app; print([name for name in {heavy!r} if name in sys.modules])") == "[]"


def test_the_package_is_whole_for_whoever_asks() -> None:
    asked = (
        "import halley.api.server, uvicorn, uvicorn.main, uvicorn.server;"
        "print(uvicorn.Server is uvicorn.server.Server, callable(uvicorn.run), uvicorn.__version__ > '0')"
    )
    assert _printed(asked) == "True True True"


def test_a_package_that_is_loaded_stays_as_it_is() -> None:
    code = "import sys, uvicorn as whole, halley.api, uvicorn; print(whole is uvicorn, 'click' in sys.modules)"
    assert _printed(code) == "True True"
