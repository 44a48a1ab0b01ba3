"""A model and one of its versions, as the pages of a model use them."""

from typing import Any, Final
from urllib.parse import quote

import msgspec

from halley.web.forms.fields import Form
from halley.web.forms.schema import read_form
from halley.web.visit import Visit

TABS: Final = (
    ("", "Playground"),
    ("/api", "API"),
    ("/examples", "Examples"),
    ("/versions", "Versions"),
    ("/runs", "Runs"),
    ("/settings", "Settings"),
)


class OpenedModel(msgspec.Struct, frozen=True, kw_only=True):
    """What the API says of them. Without a version there is nothing to run, and the form is empty."""

    model: dict[str, Any]
    version: dict[str, Any] | None
    form: Form

    @property
    def name(self) -> str:
        return f"{self.model['owner']}/{self.model['name']}"

    @property
    def path(self) -> str:
        """Of its first page."""
        return f"/ui/models/{quote(self.model['owner'], safe='')}/{quote(self.model['name'], safe='')}"

    @property
    def is_newest(self) -> bool:
        """Whether the version is the model's newest one."""
        newest = self.model["latest_version"]
        return newest is not None and self.version is not None and newest["id"] == self.version["id"]

    @property
    def output_schema(self) -> Any:
        """Of its output; None if it is not known."""
        return output_schema_of(self.version)

    def shown(self, tab: str) -> dict[str, Any]:
        """What the header of its pages needs. `tab` is the end of the page's path."""
        tabs = [(f"{self.path}{end}", text) for end, text in TABS]
        return {"opened": self, "tabs": tabs, "tab": f"{self.path}{tab}", "title": self.name}


def output_schema_of(version: dict[str, Any] | None) -> Any:
    """The schema of a version's output; None if it is not known."""
    document = None if version is None else version["openapi_schema"]
    schemas = document.get("components", {}).get("schemas", {}) if isinstance(document, dict) else {}
    return schemas.get("Output") if isinstance(schemas, dict) else None


def api_path(visit: Visit) -> str:
    """The API's path of the model that the page's path names."""
    owner, name = visit.params[:2]
    return f"/v1/models/{quote(owner, safe='')}/{quote(name, safe='')}"


async def summary_of(visit: Visit, opened: OpenedModel) -> dict[str, Any] | None:
    """What the API says of the reader's newest predictions of it: how many wait, how they ended, how long they took."""
    answer = await visit.ask("GET", "/v1/predictions/summary", query={"model": opened.name})
    return answer.json() if answer.is_ok else None


async def open_model(visit: Visit, version_id: str = "") -> OpenedModel:
    """The model of the page's path, with its newest version, or the one that is asked for.

    Raises:
        ApiRefused: there is no such model or version, or the reader may not see it.
    """
    model = await visit.get(api_path(visit))
    version = model["latest_version"]
    if version_id and (version is None or version["id"] != version_id):
        version = await visit.get(f"{api_path(visit)}/versions/{quote(version_id, safe='')}")
    document = None if version is None else version["openapi_schema"]
    return OpenedModel(model=model, version=version, form=read_form(document))
