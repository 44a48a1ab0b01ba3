"""Lists the models that this server must serve. Their files are not read here: a broken model affects only itself."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from halley.errors import Unusable
from halley.replicas.loading import ModelSource, demo_folders, fit_name, load_source, name_of, with_settings
from halley.settings import ModelSettings, Settings

_DEMOS: Final = {
    "echo": "Gives back a value of each simple type: for trying clients, forms and files.",
    "fail": "Fails in the requested way.",
    "noop": "Gives its prompt back and does no work.",
    "paint": "Paints a landscape from a few words, by rules.",
    "sleep": "Sleeps and reports its progress: for trying waits, deadlines and cancel.",
    "text": "A small language model that streams tokens.",
    "upscale": "Enlarges a picture with filters that were learned.",
}
"""What each demo model does, as lists of models show it."""


class WantedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that this server must serve. `is_named`: on the command line."""

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
        """The folder of its files; the path itself if it is not known to be a file."""
        try:
            return self.path.parent if self.path.is_file() else self.path
        except OSError:
            return self.path

    def read(self) -> ModelSource:
        """The model as it is on the disk now. Blocks for a few small files.

        Raises:
            Unusable: there is no model, or its files are not valid; see `load_source`.
        """
        source = load_source(self.path, name=self.name)
        if self.settings is not None:
            source = with_settings(source, self.settings)
        return source if self.env is None else msgspec.structs.replace(source, env=self.env)


def wanted_models(settings: Settings, paths: Sequence[Path], *, demo: bool) -> list[WantedModel]:
    """The models of the configuration, of the command line and the demos; a model that is named twice counts once.

    The command line may name a model of the configuration by its path: then its settings apply. A model of the
    configuration replaces a demo of the same name.

    Raises:
        Unusable: a name in the configuration is not a valid model name, or two models have one name.
    """
    found: dict[str, WantedModel] = {}
    for name, model in settings.models.items():
        found[name] = WantedModel(name=fit_name(name), path=model.path, settings=model, preload=model.preload)
    for path in paths:
        one = WantedModel(name=name_of(path), path=path.expanduser().absolute(), preload=True, is_named=True)
        found[one.name] = _joined(found.get(one.name), one)
    for folder in demo_folders() if demo else ():
        name = name_of(folder, owner="demo")
        about = _DEMOS.get(folder.name, "A demo model of Halley.")
        one = WantedModel(name=name, path=folder, env="current", is_official=True, description=about)
        found.setdefault(name, one)
    return list(found.values())


def _joined(known: WantedModel | None, one: WantedModel) -> WantedModel:
    """The known entry of a model that the command line names.

    Raises:
        Unusable: it is another model of the same name.
    """
    if known is None:
        return one
    if not _is_same(known.path, one.path):
        last = one.path.stem if one.path.is_file() else one.path.name
        other = name_of(one.path.with_name(f"{one.path.parent.name}-{last}"))
        raise Unusable(
            f"Two models would be named {one.name}: {known.path} and {one.path}. Rename one of them; or name it in"
            f' halley.toml instead, as in [models."{other}"] with path = "{one.path}".'
        )
    return msgspec.structs.replace(known, preload=True, is_named=True)


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.resolve() == other.resolve()
    except OSError:
        return one == other
