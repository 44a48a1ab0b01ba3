"""From a path to a model: what is found, what is refused, and what makes a version."""

import os
import shutil
from pathlib import Path

import pytest

from halley.errors import Unusable
from halley.replicas.digest import DigestCache, source_digest, version_id
from halley.replicas.loading import demo_folders, load_source, name_of, with_settings
from halley.settings import ModelSettings

CODE = "def run(text: str) -> str:\n    return text\n"
COG = """
build:
  python_version: "3.11"
run: "model.py:Runner"
train: train.py
concurrency:
  max: 4
environment:
  - A=1
  - B=x=y
x-halley:
  memory_limit: 256MB
  run_timeout: 90s
  setup_timeout: 5m
  retention: 7 d
"""


def folder(at: Path, **files: str) -> Path:
    at.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (at / name.replace("_", ".")).write_text(text)
    return at


def test_a_cog_yaml_is_read(tmp_path: Path) -> None:
    source = load_source(folder(tmp_path / "My Model!", cog_yaml=COG, model_py=CODE, train_py=CODE))
    assert source.name == "local/my-model"
    assert (source.ref, source.train_ref, source.max_concurrency) == ("model.py:Runner", "train.py", 4)
    assert source.environment == {"A": "1", "B": "x=y"}
    assert (source.memory_limit_bytes, source.run_timeout_seconds, source.setup_timeout_seconds) == (
        256 * 10**6,
        90,
        300,
    )
    assert source.retention == "7d"
    assert source.build == {"python_version": "3.11"}
    assert source.warnings == ()


@pytest.mark.parametrize(("files", "ref"), [(["predict"], "predict.py"), (["predict", "run"], "run.py")])
def test_without_cog_yaml_the_usual_names_are_looked_for(tmp_path: Path, files: list[str], ref: str) -> None:
    source = load_source(folder(tmp_path / "m", **{f"{name}_py": CODE for name in files}))
    assert (source.name, source.ref, source.file) == ("local/m", ref, None)


def test_run_goes_before_predict(tmp_path: Path) -> None:
    cog = "predict: predict.py:Predictor\nrun: run.py:Runner\n"
    assert load_source(folder(tmp_path, cog_yaml=cog, run_py=CODE, predict_py=CODE)).ref == "run.py:Runner"


def test_a_single_file_is_a_model(tmp_path: Path) -> None:
    path = folder(tmp_path, Blur_py=CODE) / "Blur.py"
    source = load_source(path)
    assert (source.name, source.folder, source.ref, source.file) == ("local/blur", tmp_path, "Blur.py", path)


def test_settings_go_over_what_the_model_says(tmp_path: Path) -> None:
    source = load_source(folder(tmp_path, cog_yaml=COG, model_py=CODE, train_py=CODE), name="me/mine")
    source = with_settings(source, ModelSettings(path=tmp_path, concurrency=2, memory_limit_bytes=5))
    assert source.name == "me/mine"
    assert (source.max_concurrency, source.memory_limit_bytes, source.run_timeout_seconds) == (2, 5, 90)


@pytest.mark.parametrize(
    ("cog", "said"),
    [
        ("run: [1\n", r"cog\.yaml, line 2 is not valid YAML"),
        ("run: a\n\tpredict: b\n", r"cog\.yaml, line 2 is not valid YAML"),
        ("- run\n", r"cog\.yaml, line 1: expected keys and values"),
        ("\nrun: 5\n", r"cog\.yaml, line 2: `run` must be a reference such as predict\.py:Predictor"),
        ("image: x\nrun: other.py:Runner\n", r"cog\.yaml, line 2: 'other\.py:Runner' names the file other\.py"),
        ("run: ../run.py\n", r"names the file \.\./run\.py, which is not in the folder"),
        ("run: run.py\nconcurrency:\n  max: many\n", r"line 3: `concurrency\.max` must be a whole number from 1"),
        ("run: run.py\nenvironment: FOO\n", r"line 2: `environment` must be a list of NAME=value"),
        ("run: run.py\nx-halley:\n  memory_limit: lots\n", r"line 3: `x-halley\.memory_limit` must be a size such as"),
        ("run: run.py\nx-halley:\n  run_timeout: 0\n", r"line 3: `x-halley\.run_timeout` must be more than nothing"),
        ("run: run.py\nx-halley:\n  retention: soon\n", r"line 3: `x-halley\.retention` must be a period such as 1h"),
        ("run: run.py\nx-halley:\n  retention: false\n", r"line 3: `x-halley\.retention` must be a period such as 1h"),
        ("build: 5\n", r"line 1: `build` must be a table"),
        ("build:\n  python_version: new\n", r"line 2: `build\.python_version` must be a version such as"),
        ("build:\n  python_requirements: r.txt\n", r"line 2: .*a file that is there; r\.txt is not in the folder"),
        ("build:\n  python_packages: numpy\n", r"line 2: `build\.python_packages` must be a list of texts"),
        ("build:\n  system_packages: [1]\n", r"line 2: `build\.system_packages` must be a list of texts"),
        ("build:\n  run: [1]\n", r"line 2: `build\.run` must be a list of commands"),
        ("run: run.py\nweights: 5\n", r"line 2: `weights` must be a path, or a list"),
        ("run: !!python/object/apply:os.system ['true']\n", r"cog\.yaml, line 1 is not valid YAML"),
    ],
)
def test_a_wrong_cog_yaml_is_refused_with_file_and_line(tmp_path: Path, cog: str, said: str) -> None:
    inside = folder(tmp_path / "m", cog_yaml=cog, run_py=CODE)
    folder(tmp_path, run_py=CODE)
    with pytest.raises(Unusable, match=said):
        load_source(inside)


def test_unknown_keys_only_warn(tmp_path: Path) -> None:
    cog = "run: run.py\nconcurency: {max: 2}\nx-other: 1\nx-halley:\n  memory: 5\n"
    warnings = load_source(folder(tmp_path, cog_yaml=cog, run_py=CODE)).warnings
    assert len(warnings) == 2
    assert (
        "line 2: `concurency` is not a key that Halley knows; it is ignored. Did you mean `concurrency`?" in warnings[0]
    )
    assert "line 5: `x-halley.memory` is not a key" in warnings[1]


def test_what_an_image_would_have_is_named_with_the_line_to_run(tmp_path: Path) -> None:
    cog = (
        "build:\n  gpu: true\n  cuda: '12.1'\n  system_packages: [ffmpeg, git]\n"
        "  run:\n    - echo hi\n    - {command: make, mounts: []}\n"
        "  pre_install: [a]\n  pyton_version: 1\nrun: run.py\n"
    )
    unknown, *warnings = load_source(folder(tmp_path, cog_yaml=cog, run_py=CODE)).warnings
    assert "line 9: `build.pyton_version` is not a key" in unknown
    assert "Did you mean `build.python_version`?" in unknown
    not_run = "not run, and so not installed, by Halley. If the model needs it, in its folder"
    apt = "sudo apt-get install -y ffmpeg git"
    assert [line.partition("cog.yaml, ")[2] for line in warnings] == [
        f"line 4: `build.system_packages`: not installed by Halley. If they are missing: {apt}",
        f"line 8: `build.pre_install`: {not_run}: a",
        f"line 5: `build.run`: {not_run}: echo hi",
        f"line 5: `build.run`: {not_run}: make",
    ]


def test_a_python_version_is_read_as_it_is_written(tmp_path: Path) -> None:
    cog = "build:\n  python_version: 3.10\n  python_packages: [a==1]\nrun: run.py\n"
    installs = load_source(folder(tmp_path, cog_yaml=cog, run_py=CODE)).installs
    assert (installs.python_version, installs.packages) == ("3.10", ("a==1",))


@pytest.mark.parametrize(
    ("weights", "path", "said"),
    [
        ("w", "w", None),
        ("https://example.org/w.bin", "https://example.org/w.bin", None),
        ("gone", "gone", "`weights`: gone is not there"),
        ("[{name: a, target: gone, source: {uri: 'hf://a/b'}}, {target: w}]", "w", "hf://a/b: not fetched by Halley"),
        ("[{name: a, source: {uri: 'file://w'}}]", "w", None),
        ("[{name: a}]", None, "a: not fetched"),
    ],
)
def test_weights_are_a_path_for_setup(tmp_path: Path, weights: str, path: str | None, said: str | None) -> None:
    source = load_source(folder(tmp_path, cog_yaml=f"run: run.py\nweights: {weights}\n", run_py=CODE, w="1"))
    assert source.environment.get("COG_WEIGHTS") == path
    assert (said is None and source.warnings == ()) or (said is not None and said in source.warnings[0])


def test_what_is_no_model_is_refused_with_the_path(tmp_path: Path) -> None:
    (tmp_path / "x.txt").touch()
    for path, said in (
        (tmp_path / "absent", "has no folder"),
        (tmp_path / "x.txt", "not a Python file"),
        (tmp_path, "is it a model"),
    ):
        with pytest.raises(Unusable, match=said):
            load_source(path)
    with pytest.raises(Unusable, match="cannot name a model"):
        load_source(tmp_path, name="mine")
    with pytest.raises(Unusable, match=r"The model me/mine cannot be read: .*File name too long"):
        load_source(tmp_path / ("long" * 100), name="me/mine")


def test_a_ready_schema_is_kept_or_refused(tmp_path: Path) -> None:
    path = folder(tmp_path, run_py=CODE) / ".cog" / "openapi_schema.json"
    path.parent.mkdir()
    path.write_text('{"components": {"schemas": {"Input": {}}}}')
    assert load_source(tmp_path).openapi_schema == path.read_bytes()
    for bad in ("{", "[]", '{"components": {}}', '{"components": {"schemas": {"Input": 1}}}'):
        path.write_text(bad)
        with pytest.raises(Unusable, match=r"openapi_schema\.json"):
            load_source(tmp_path)


def test_the_demo_models_are_found() -> None:
    names = [load_source(path, owner="demo").name for path in demo_folders()]
    assert names == sorted(names)
    assert "demo/echo" in names


def test_the_digest_follows_the_source_and_nothing_else(tmp_path: Path) -> None:
    model = folder(tmp_path / "m", run_py=CODE, data_txt="1")
    before = source_digest(load_source(model))
    for ignored in (".git", "__pycache__", ".cog", "outputs", "env"):
        folder(model / ignored, noise_txt="?")
    (model / "env" / "pyvenv.cfg").touch()
    (model / "run.pyc").touch()
    os.utime(model / "run.py", (1, 1))
    os.mkfifo(model / "pipe")
    assert source_digest(load_source(model)) == before
    moved = folder(tmp_path / "elsewhere", run_py=CODE, data_txt="1")
    assert source_digest(load_source(moved)) == before
    (model / "data.txt").write_text("2")
    changed = source_digest(load_source(model))
    assert changed != before
    folder(model / "lib", setup_py="1")
    with_lib = source_digest(load_source(model))
    folder(model / "lib" / "build", noise_txt="?")  # what pip leaves when it installs ./lib
    folder(model / "lib" / "lib.egg-info", noise_txt="?")
    assert source_digest(load_source(model)) == with_lib
    shutil.rmtree(model / "lib")
    (model / "data.txt").rename(model / "other.txt")
    assert source_digest(load_source(model)) not in {before, changed}
    folder(model / "deeper" / "outputs", part_py="1")  # a package of that name is source
    assert source_digest(load_source(model)) not in {before, changed}


def test_links_count_by_what_they_mean(tmp_path: Path) -> None:
    model = folder(tmp_path / "m", run_py=CODE)
    folder(tmp_path / "far", weights_bin="1")
    (model / "weights").symlink_to(tmp_path / "far" / "weights.bin")
    (model / "folder").symlink_to(tmp_path / "far")
    (model / "broken").symlink_to(tmp_path / "nowhere")
    (model / "loop").symlink_to(model)
    before = source_digest(load_source(model))
    (tmp_path / "far" / "weights.bin").write_text("2")
    assert source_digest(load_source(model)) != before


def test_other_files_beside_a_single_file_model_do_not_count(tmp_path: Path) -> None:
    path = folder(tmp_path, blur_py=CODE) / "blur.py"
    before = source_digest(load_source(path))
    folder(tmp_path, other_py="1")
    assert source_digest(load_source(path)) == before


def test_big_files_are_read_once(tmp_path: Path) -> None:
    model = folder(tmp_path / "m", run_py=CODE)
    weights = model / "weights.bin"
    with weights.open("wb") as file:
        file.truncate(9 * 2**20)
    before = source_digest(load_source(model), DigestCache(tmp_path / "data" / "digests.json"))
    stat = weights.stat()
    with weights.open("r+b") as file:
        file.write(b"changed behind our back")
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert source_digest(load_source(model), DigestCache(tmp_path / "data" / "digests.json")) == before
    os.utime(weights, ns=(1, 1))
    assert source_digest(load_source(model), DigestCache(tmp_path / "data" / "digests.json")) != before
    (tmp_path / "data" / "digests.json").write_text("damaged")
    assert source_digest(load_source(model), DigestCache(tmp_path / "data" / "digests.json")) != before


def test_a_version_is_its_source_schema_and_environment() -> None:
    known = version_id("d", b'{"a": 1, "b": [1, 2]}', "cpython-311")
    assert known == "a56e9eac03cd959bda86517932cedc8fa4dea6a8ac49bf3dc5ab78866d4e5952"  # ids are stored
    assert len(known) == 64
    assert version_id("d", b'{"b":[1,2],"a":1}', "cpython-311") == known
    others = [
        version_id("e", b'{"a": 1, "b": [1, 2]}', "cpython-311"),
        version_id("d", b'{"a": 1, "b": [2, 1]}', "cpython-311"),
        version_id("d", b'{"a": 1, "b": [1, 2]}', "cpython-312"),
        version_id("d", None, "cpython-311"),
    ]
    assert len({known, *others}) == 5


def test_a_path_with_two_dots_is_read_as_the_place_that_it_leads_to(tmp_path: Path) -> None:
    """Models have temporary folders of their own: what is between the dots may not be there for them."""
    (tmp_path / "model").mkdir()
    (tmp_path / "here").mkdir()
    (tmp_path / "model" / "run.py").write_text("")
    source = load_source(tmp_path / "here" / ".." / "model")
    assert (source.folder, source.name) == (tmp_path / "model", "local/model")
    (tmp_path / "current").symlink_to("model")
    assert load_source(tmp_path / "here" / ".." / "current").folder == tmp_path / "current"
    (tmp_path / "model" / "inner").mkdir()
    assert name_of(tmp_path / "model" / "inner" / "..") == "local/model"
