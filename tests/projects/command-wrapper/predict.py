import os
import shutil
import subprocess

from cog import BasePredictor, Input, Path


class Predictor(BasePredictor):
    def setup(self):
        subprocess.check_call(["sort", "--version"], stdout=subprocess.DEVNULL)

    def predict(
        self,
        document: Path = Input(description="Lines of text"),
        reverse: bool = Input(default=False),
    ) -> Path:
        workdir = "workdir"
        if os.path.exists(workdir):
            shutil.rmtree(workdir)
        os.makedirs(workdir)
        output = os.path.join(workdir, "sorted.txt")
        command = f"sort {'-r' if reverse else ''} {document} > {output}"
        print(f"+ sort {'-r' if reverse else ''}".strip())
        subprocess.run(command, shell=True, check=True, env={**os.environ, "LC_ALL": "C"})
        return Path(output)
