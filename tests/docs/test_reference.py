"""What exists is in the manual, and what the manual names exists."""

import re
import tomllib
from pathlib import Path

import pytest

from docs.pages import DOCS, ROOT, blocks
from docs.test_drawings import draw
from halley.api.presentation.problems import STATUS
from halley.api.routes import ROUTES
from halley.cli.failures import ExitCode
from halley.predictions.lifecycle import REASONS
from halley.predictions.status import Status
from halley.settings import read_settings

SOURCE = ROOT / "src" / "halley"
_REASON = re.compile(r'\breason="([a-z_]+)"|^    "([a-z]+_[a-z]+)",\n\)', re.MULTILINE)
_FORCED = "cancel_forced"  # how a run was ended whose prediction had ended before: nobody is shown it


def page(name: str) -> str:
    return (DOCS / name).read_text()


def test_every_command_is_in_the_reference() -> None:
    text = page("reference/cli.md")
    assert [name for name in draw.command_names() if f"## `{name}" not in text] == []


def test_every_setting_is_in_the_reference_and_has_a_meaning() -> None:
    text = page("reference/settings.md")
    names = list(draw.setting_names())
    assert [name for name in names if f"| `{name.rpartition('.')[2]}` |" not in text] == []
    assert set(draw.meanings("setting")) == set(names)
    assert set(draw.meanings("reserved")["settings"]) <= set(names)


def test_settings_without_effect_are_really_unused() -> None:
    code = "".join(path.read_text() for path in SOURCE.rglob("*.py") if path.parent.name != "settings")
    for name in draw.meanings("reserved")["settings"]:
        group, _, key = name.rpartition(".")
        owner = "configured|settings" if group == "models" else group
        assert not re.search(rf"\b({owner})\.{key}\b", code), f"{name} has an effect now: take it off [reserved]"


def test_every_limit_says_what_is_beyond_it() -> None:
    assert set(draw.meanings("answer")) == {name for name in draw.setting_names() if name.startswith("limits.")}


def test_every_route_is_in_the_reference() -> None:
    text = page("reference/http-api.md")
    assert [route.name for route in ROUTES if f"{route.pattern}` |" not in text] == []


def test_every_error_is_in_the_reference_and_its_status_in_troubleshooting() -> None:
    errors, trouble = page("reference/errors.md"), page("how-to/troubleshoot.md")
    assert [kind.code for kind in STATUS if f"| `{kind.code}` |" not in errors] == []
    # 502 would tell of a foreign host that fails during a request: inputs are fetched later
    assert [int(status) for status, _ in STATUS.values() if str(int(status)) not in trouble and status != 502] == []


def test_every_exit_code_has_a_meaning() -> None:
    assert set(draw.meanings("exit")) == set(ExitCode.__members__)


def test_every_status_and_reason_is_in_the_reference() -> None:
    assert set(draw.meanings("status")) == set(Status)
    code = "".join(path.read_text() for folder in ("dispatch", "predictions", "replicas", "store/sqlite", "providers")
                   for path in (SOURCE / folder).rglob("*.py"))  # fmt: skip
    said = {first or second for first, second in _REASON.findall(code)} | set(REASONS.values())
    assert said - {_FORCED} <= set(draw.meanings("reason"))
    assert [word for word in draw.meanings("reason") if word not in code and word not in REASONS.values()] == []


def test_every_dependency_is_in_the_readme() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *project["optional-dependencies"]["demo"],
        *project["optional-dependencies"]["tls"],
    ]
    names = {re.split(r"[><=\[]", line)[0].strip().lower() for line in wanted}
    table = (ROOT / "README.md").read_text().lower()
    assert [name for name in sorted(names) if not re.search(rf"^\| .*\b{name}\b", table, re.MULTILINE)] == []


@pytest.mark.parametrize("path", sorted((DOCS / "decisions").glob("*.md")), ids=lambda path: path.stem)
def test_decisions_have_their_form(path: Path) -> None:
    text = path.read_text()
    assert re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", path.name)
    assert text.startswith(f"# {path.name[:4]} ")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings == ["Situation", "Decision", "Reasons", "What it costs", "What would change our mind"]


@pytest.mark.parametrize("path", sorted((ROOT / "changes").glob("*.md")), ids=lambda path: path.name)
def test_change_fragments_have_their_form(path: Path) -> None:
    if path.name == "README.md":
        return
    assert re.fullmatch(r"[a-z0-9-]+\.(added|changed|fixed|removed)\.md", path.name)
    assert not path.read_text().startswith("#")


@pytest.mark.parametrize("name", ["reference/settings.md", "how-to/configure.md", "how-to/run-in-production.md",
                                  "how-to/https.md", "how-to/retention.md", "start/own-model.md",
                                  "how-to/isolation.md"])  # fmt: skip
def test_examples_of_the_configuration_are_fit(name: str, tmp_path: Path) -> None:
    for number, (language, _, text) in enumerate(blocks(DOCS / name)):
        if language == "toml":
            file = tmp_path / f"{number}.toml"
            file.write_text(text)
            read_settings({}, config=file, flags={}, folder=tmp_path, user_file=tmp_path / "none.toml")


def test_messages_in_troubleshooting_are_those_of_the_code() -> None:
    code = "".join(path.read_text() for path in SOURCE.rglob("*.py"))
    joined = re.sub(r'"\s*\n\s*f?"', "", code)  # a message may run over several literals
    rows = [line.split("|")[1] for line in page("how-to/troubleshoot.md").splitlines() if line.startswith("| ")]
    quoted = [piece for row in rows for message in re.findall(r"`([^`]+)`", row) for piece in message.split("...")]
    pieces = [piece.strip(" /,.") for piece in quoted]
    assert [piece for piece in pieces if len(piece) > 8 and piece not in joined] == []


def test_the_list_of_scripts_has_all_of_them() -> None:
    words = (ROOT / "scripts" / "help").read_text()
    missing = [
        one.name for one in (ROOT / "scripts").iterdir() if one.is_file() and f"scripts/{one.name} " not in words
    ]
    assert [name for name in missing if name != "help"] == []
