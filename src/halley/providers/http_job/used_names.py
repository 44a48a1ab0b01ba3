"""Checks that each input of a model is sent, and finds out whether input files are sent as parts of a form."""

from collections.abc import Iterator, Mapping
from typing import Any

from halley.providers.http_job.faults import JobFileError
from halley.providers.http_job.job import JobModel
from halley.providers.http_job.requests import RequestForm
from halley.providers.http_job.templates import Name, Template


def check_inputs(create: RequestForm, models: Mapping[str, JobModel]) -> None:
    """Raises:
    JobFileError: an input is not sent, or a file is at a position where files are not possible.
    """
    names = list(create.names())
    if any(name.root == "input" and name.member is None for name in names):
        used = None
    else:
        used = {name.member for name in names if name.root == "input"}
    for model in models.values():
        for name in sorted(model.schema.names) if used is not None else ():
            if name not in (used or ()):
                raise JobFileError(
                    f'models."{model.name}".input.{name}',
                    f"it is sent nowhere: no template of [create] has {{input.{name}}}.",
                )
    if takes_files(create, models):
        _check_files(create, frozenset(name for model in models.values() for name in model.schema.files))


def takes_files(create: RequestForm, models: Mapping[str, JobModel]) -> bool:
    """Whether input files are sent as parts of a form: then they must be on this machine."""
    return create.encoding == "multipart" and any(model.schema.files for model in models.values())


def _check_files(create: RequestForm, files: frozenset[str]) -> None:
    outside = [name for text in (create.path, *(text for _, text in create.headers)) for name in text.names]
    inside = [name for text in _texts(create.body) if len(text.parts) > 1 for name in text.names]
    for name in (*outside, *inside):
        if _is_file(name, files):
            text = f"{{{name}}} is a file: it can only be a field of its own in the body."
            raise JobFileError("create", text)


def _is_file(name: Name, files: frozenset[str]) -> bool:
    return name.root == "input" and name.member in files


def _texts(body: Any) -> Iterator[Template]:
    if isinstance(body, Template):
        yield body
    elif isinstance(body, dict | list):
        for member in body.values() if isinstance(body, dict) else body:
            yield from _texts(member)
