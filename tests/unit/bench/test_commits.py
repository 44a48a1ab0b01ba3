"""The other commit lies in a worktree of its own, which is gone afterwards, and runs its own code."""

import subprocess
from pathlib import Path

import commits
import pytest
from commits import NoSuchCommit, checked_out, described, git, interpreter, resolve


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    git("init", "--quiet", cwd=root)
    git("config", "user.name", "A", cwd=root)
    git("config", "user.email", "a@example.org", cwd=root)
    for text in ("old", "new"):
        (root / "file.txt").write_text(text)
        git("add", ".", cwd=root)
        git("commit", "--quiet", "--message", text, cwd=root)
    return root


def test_the_worktree_has_the_commit_and_is_removed_with_the_block(repository: Path) -> None:
    with checked_out(resolve("HEAD~1", repository), repository) as tree:
        assert (tree / "file.txt").read_text() == "old"
        assert described(tree).endswith(" old")
        (tree / "left-over").write_text("of an installation")
    assert not tree.parent.exists()
    assert len(git("worktree", "list", cwd=repository).splitlines()) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_the_worktree_is_removed_when_the_block_fails(repository: Path, error: type[BaseException]) -> None:
    def fail() -> Path:
        with checked_out("HEAD~1", repository) as tree:
            seen.append(tree)
            raise error

    seen: list[Path] = []
    with pytest.raises(error):
        fail()
    assert not seen[0].parent.exists()
    assert len(git("worktree", "list", cwd=repository).splitlines()) == 1


def test_an_unknown_commit_and_one_that_looks_like_an_option_are_refused(repository: Path) -> None:
    for name in ("no-such-branch", "--all", "HEAD:file.txt"):
        with pytest.raises(NoSuchCommit):
            resolve(name, repository)
    (repository / "file.txt").write_text("changed")
    assert described(repository).endswith(" new with changes")


def test_with_equal_locks_the_tree_runs_with_our_packages(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for path, text in {
        commits.LOCK: (commits.ROOT / commits.LOCK).read_text(),
        "src/halley/__init__.py": "NAME = 'another halley'",
    }.items():
        (tree / path).parent.mkdir(parents=True)
        (tree / path).write_text(text)
    python = interpreter(tree, tmp_path / "environment")
    shown = subprocess.run(
        [python, "-I", "-c", "import halley, msgspec; print(halley.NAME)"], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "another halley"


def test_with_another_lock_the_tree_installs_its_own(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for path, text in {commits.LOCK: "other", "scripts/install": '#!/bin/sh\necho "$1" >"$0.asked"\n'}.items():
        (tree / path).parent.mkdir(parents=True)
        (tree / path).write_text(text)
    (tree / "scripts/install").chmod(0o755)
    said: list[str] = []
    assert interpreter(tree, tmp_path / "environment", said.append) == tree / ".venv/bin/python"
    assert (tree / "scripts/install.asked").read_text() == "runtime\n"
    assert len(said) == 1
