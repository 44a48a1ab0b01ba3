"""What is read before anything is built: requirements, pip's configuration, the words of `halley check`."""

from pathlib import Path

import pytest

from halley.errors import Unusable
from halley.replicas.environments.indexes import build_environment, for_uv
from halley.replicas.environments.requirements import read_requirements
from halley.replicas.loading import load_source
from halley.settings import read_settings
from unit.environments.packages import model


def identity(folder: Path) -> tuple[str, ...]:
    return read_requirements(load_source(folder)).identity


def test_comments_blanks_and_names_of_files_do_not_count(tmp_path: Path) -> None:
    first = model(tmp_path / "a", "one==1  # why", "", "two \\", "  >= 2", wheels=tmp_path)
    second = model(tmp_path / "b", "-r more/inner.txt", wheels=tmp_path)
    (second / "more").mkdir()
    (second / "more" / "inner.txt").write_text("-r ../requirements.txt\none==1\ntwo    >= 2\n")
    assert [line for line in identity(first) if not line.startswith("-")] == ["one==1", "two >= 2"]
    assert [line for line in identity(second) if not line.startswith("-")] == ["one==1", "two >= 2"]


def test_a_file_that_is_not_there_is_named_with_who_named_it(tmp_path: Path) -> None:
    folder = model(tmp_path / "a", "-r gone.txt", wheels=tmp_path)
    with pytest.raises(Unusable, match=r"gone\.txt, named by .*requirements\.txt, line 3, cannot be read"):
        identity(folder)


def test_local_files_count_by_content(tmp_path: Path) -> None:
    (tmp_path / "x-1-py3-none-any.whl").write_text("1")
    folder = model(tmp_path / "a", "../x-1-py3-none-any.whl", "y @ file:///nowhere", wheels=tmp_path)
    before = identity(folder)
    assert before[-1] == "y @ file:///nowhere"
    (tmp_path / "x-1-py3-none-any.whl").write_text("2")
    assert identity(folder) != before


def test_uv_gets_the_configuration_of_pip(tmp_path: Path) -> None:
    conf = tmp_path / ".config" / "pip" / "pip.conf"
    conf.parent.mkdir(parents=True)
    conf.write_text("[global]\nindex-url = http://127.0.0.1:1/simple\nfind-links = /a\n  /b\n[install]\nno-index = 1\n")
    environ = {"HOME": str(tmp_path), "PIP_CONFIG_FILE": "/nonexistent"}
    found = for_uv(environ)
    assert found["UV_DEFAULT_INDEX"] == "http://127.0.0.1:1/simple"
    assert found["UV_FIND_LINKS"] == "/a,/b"
    assert found["UV_NO_INDEX"] == "1"
    assert for_uv(environ | {"PIP_INDEX_URL": "http://127.0.0.1:2"})["UV_DEFAULT_INDEX"] == "http://127.0.0.1:2"
    assert "UV_DEFAULT_INDEX" not in for_uv(environ | {"UV_DEFAULT_INDEX": "http://127.0.0.1:3"})
    conf.write_text("no section\n")
    assert "UV_NO_INDEX" not in for_uv(environ)


def test_a_build_sees_no_secret_of_the_server() -> None:
    environ = {
        "HALLEY_ADMIN_KEY": "s",
        "AWS_SECRET_ACCESS_KEY": "s",
        "PIP_INDEX_URL": "u",
        "PIP_TARGET": "/x",
        "PATH": "p",
    }
    seen = build_environment(environ)
    assert seen["PIP_INDEX_URL"] == "u"
    assert seen["PATH"] == "p"
    assert not {"HALLEY_ADMIN_KEY", "AWS_SECRET_ACCESS_KEY", "PIP_TARGET"} & set(seen)


def test_the_folder_is_a_path_or_none(tmp_path: Path) -> None:
    environ = {"HALLEY_ENVIRONMENTS__FOLDER": "/srv/envs", "HALLEY_DATA": str(tmp_path)}
    assert read_settings(environ, config=None, flags={}, user_file=tmp_path).environments.folder == Path("/srv/envs")
    environ["HALLEY_ENVIRONMENTS__FOLDER"] = "none"
    assert read_settings(environ, config=None, flags={}, user_file=tmp_path).environments.folder is None
