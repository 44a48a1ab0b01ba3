"""Wheels and models made by hand: nothing here needs an index."""

import shutil
import sys
import zipfile
from pathlib import Path
from typing import Final

UV: Final = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
SAYS: Final = """
from cog import BaseRunner
import greeter


class Runner(BaseRunner):
    def run(self, name: str) -> str:
        return greeter.WORD + " " + name
"""


def wheel(folder: Path, name: str, version: str, code: str, *, needs: str = "", script: str = "") -> Path:
    """A pure wheel with one module; `script` names a console script that calls its `main`."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        + (f"Requires-Dist: {needs}\n" if needs else ""),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if script:
        files[f"{info}/entry_points.txt"] = f"[console_scripts]\n{script} = {name}:main\n"
    files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as made:
        for file, text in files.items():
            made.writestr(file, text)
    return path


def model(folder: Path, *requirements: str, wheels: Path, code: str = SAYS, cog: str = "") -> Path:
    """A model folder whose requirements come from `wheels` alone."""
    folder.mkdir(parents=True)
    lines = ["--no-index", f"--find-links {wheels}", *requirements]
    (folder / "requirements.txt").write_text("\n".join(lines) + "\n")
    (folder / "run.py").write_text(code)
    (folder / "cog.yaml").write_text(f"build:\n  python_requirements: requirements.txt\n{cog}run: run.py:Runner\n")
    return folder
