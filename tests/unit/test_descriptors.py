"""The limit of open files, in processes of their own."""

import resource
import subprocess
import sys

import pytest

from needs import require

CODE = (
    "import logging, resource; logging.basicConfig(format='%(message)s');"
    "resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}));"
    "from halley.app.descriptors import raise_limit;"
    "print(raise_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))"
)


@pytest.mark.parametrize(("soft", "hard", "warned"), [(256, 512, True), (512, 512, True), (256, 9000, False)])
def test_the_limit_is_raised_to_the_hard_limit_and_a_low_one_is_reported(soft: int, hard: int, warned: bool) -> None:
    require(resource.getrlimit(resource.RLIMIT_NOFILE)[1] >= hard, f"a hard limit of {hard} open files")
    code = CODE.format(soft=soft, hard=hard)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(hard)] * 3
    assert (f"may open {hard} files" in done.stderr) is warned
