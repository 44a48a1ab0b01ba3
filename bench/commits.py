"""Another commit of this repository, ready to run: its files, and an interpreter that imports its `halley`."""

import subprocess
import sys
import sysconfig
import tempfile
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = "requirements/runtime.txt"  # what a server needs; the rest of our environment is for tests


class NoSuchCommit(Exception):
    """The repository knows no commit by that name."""


def git(*words, cwd=ROOT):
    done = subprocess.run(["git", *map(str, words)], cwd=cwd, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def resolve(name, cwd=ROOT):
    """The full hash of a commit, a branch or a tag."""
    try:
        return git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", cwd=cwd)
    except subprocess.CalledProcessError as error:
        raise NoSuchCommit(name) from error


def described(cwd=ROOT):
    """The checkout's commit, and whether its files differ from it."""
    changed = " with changes" if git("status", "--porcelain", "--untracked-files=no", cwd=cwd) else ""
    return git("log", "-1", "--format=%h %s", cwd=cwd) + changed


@contextmanager
def checked_out(commit, cwd=ROOT):
    """The files of the commit in a temporary worktree, which is removed however the block ends."""
    with tempfile.TemporaryDirectory(prefix="halley-against-") as folder:
        tree = Path(folder).resolve() / "tree"
        try:
            git("worktree", "add", "--detach", "--force", tree, commit, cwd=cwd)
            yield tree
        finally:
            # An interrupted `add` may have left nothing to remove; `prune` then forgets what git noted.
            remove = ["git", "worktree", "remove", "--force", "--force", str(tree)]
            subprocess.run(remove, cwd=cwd, capture_output=True, check=False)
    git("worktree", "prune", cwd=cwd)


def interpreter(tree, folder, say=print):
    """The path of a Python that imports `halley` from the tree.

    With equal lock files it borrows this environment's packages, else the tree's own scripts/install fetches its own.
    """
    if (tree / LOCK).read_bytes() != (ROOT / LOCK).read_bytes():
        say(f"{LOCK} differs: installing the packages of the other commit")
        subprocess.run([tree / "scripts/install", "runtime"], stdout=sys.stderr, check=True)
        return tree / ".venv/bin/python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    paths = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", "venv", paths))
    # A .pth file, unlike PYTHONPATH, is not inherited by models and holds for `python -I`, too. The .pth files of the
    # borrowed folder are not read again, so this checkout's own `halley` stays out.
    (site / "halley.pth").write_text(f"{tree / 'src'}\n{sysconfig.get_path('purelib')}\n")
    return folder / "bin/python"
