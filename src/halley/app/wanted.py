"""Which models this server shall serve. None of their files is read here: what is wrong with one concerns it alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from halley.replicas.loading import ModelSource, demo_folders, fit_name, load_source, name_of, with_settings
from halley.settings import Model as ModelSettings
from halley.settings import Settings


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A model that this server shall serve. `is_named`: on the command line."""

    name: str  # owner/name
    path: Path  # absolute; of its folder or file
    settings: ModelSettings | None = None
    env: Literal["own", "current"] | None = None
    preload: bool = False
    is_named: bool = False
    is_official: bool = False
    description: str | None = None

    @property
    def folder(self) -> Path:
        """Where its files are; a folder if nobody can say."""
        try:
            return self.path.parent if self.path.is_file() else self.path
        except OSError:
            return self.path

    def read(self) -> ModelSource:
        """The model as it lies on the disk now. Blocks for a few small files.

        Raises:
            Unusable: there is no model, or its files contradict themselves; see `load_source`.
        """
        source = load_source(self.path, name=self.name)
        if self.settings is not None:
            source = with_settings(source, self.settings)
        return source if self.env is None else msgspec.structs.replace(source, env=self.env)


def wanted_models(settings: Settings, paths: Sequence[Path], *, demo: bool) -> list[Wanted]:
    """The models of the configuration, of the command line and the demos; a name that comes twice counts once.

    Raises:
        Unusable: a name in the configuration cannot be a model's.
    """
    found: dict[str, Wanted] = {}
    for name, model in settings.models.items():
        found[name] = Wanted(name=fit_name(name), path=model.path, settings=model, preload=model.preload)
    for path in paths:
        name = name_of(path)
        found[name] = Wanted(name=name, path=path.expanduser().absolute(), preload=True, is_named=True)
    for folder in demo_folders() if demo else ():
        name = name_of(folder, owner="demo")
        about = "A demo model of Halley."
        one = Wanted(name=name, path=folder, env="current", is_official=True, description=about)
        found.setdefault(name, one)
    return list(found.values())
