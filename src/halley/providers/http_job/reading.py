"""Reads and checks a whole job file, so that `halley config validate` finds all errors before a run does."""

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from halley.errors import Unusable
from halley.providers.http_job.faults import JobFileError
from halley.providers.http_job.job import BalanceForm, ContentForm, FindForm, Job, JobModel
from halley.providers.http_job.members import converted
from halley.providers.http_job.places import answer_of, match_of, places_of, steps_of, verdict_of
from halley.providers.http_job.requests import (
    Known,
    RequestForm,
    check_header_name,
    check_json,
    path_template,
    request_form,
    templates_in,
)
from halley.providers.http_job.schemas import schema_of
from halley.providers.http_job.tables import (
    AuthTable,
    BalanceTable,
    ContentTable,
    FindTable,
    JobFileTable,
    ModelTable,
    PollTable,
)
from halley.providers.http_job.templates import Template
from halley.providers.http_job.used_names import check_inputs, takes_files
from halley.providers.services.poll_rules import PollRules

FILE_BYTES: Final = 2**20
_MODEL: Final = re.compile(r"[\w.\-]{1,100}/[\w.\-]{1,100}", re.ASCII)
_SCHEME: Final = re.compile(r"[A-Za-z0-9._~+/-]{0,50}")
_PREDICTION: Final[Known] = {"prediction": ("id",)}


def read_job(path: Path) -> Job:
    """The job of a file.

    Raises:
        Unusable: it cannot be read, or something in it is wrong; the message names file and place.
    """
    try:
        with path.open("rb") as file:
            text = file.read(FILE_BYTES + 1)
        if len(text) > FILE_BYTES:
            raise Unusable(f"{path} has more than {FILE_BYTES} bytes.")
        return job_of(text.decode(), path.parent)
    except OSError as error:
        raise Unusable(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # also a number with more digits than Python reads
        raise Unusable(f"{path} cannot be read as TOML: {error}.") from error
    except RecursionError as error:
        raise Unusable(f"{path} cannot be read: it is nested too deeply.") from error
    except JobFileError as error:
        raise Unusable(f"{path}: {error}") from error


def job_of(text: str, folder: Path) -> Job:
    """The job that the text of a file describes; relative paths of schema files begin at `folder`.

    Raises:
        JobFileError: something in it is wrong.
        ValueError, RecursionError: it is not TOML, or cannot be read.
    """
    table = converted(tomllib.loads(text))
    models = {name: _model(name, one, folder) for name, one in table.models.items()}
    if not models:
        raise JobFileError("models", 'there is none; add [models."owner/name"] with `output` and its inputs.')
    values = sorted({member for model in models.values() for member in model.value})
    inputs = None if any(model.schema.is_open for model in models.values()) else _input_names(models.values())
    of_run: Known = {"id": (), "value": values, **_PREDICTION}
    of_create: Known = {"input": inputs, "value": values, **_PREDICTION}
    create = request_form(table.create, "create", of_create)
    check_inputs(create, models)
    answer = answer_of(table.answer, table.status)
    job = Job(
        models=models,
        auth=_auth(table.auth),
        create=create,
        create_id=places_of(table.create.id, "create.id"),
        verdicts=tuple(verdict_of(one, f"create.verdicts[{i}]") for i, one in enumerate(table.create.verdicts)),
        poll=request_form(table.poll, "poll", of_run),
        poll_rules=_poll_rules(table),
        gone=None if table.poll.gone is None else match_of(table.poll.gone, "poll.gone"),
        answer=answer,
        cancel=None if table.cancel is None else request_form(table.cancel, "cancel", of_run),
        content=None if table.content is None else _content(table.content, of_run),
        find=None if table.find is None else _find(table.find, {**of_create, "cursor": ()}),
        balance=None if table.balance is None else _balance(table.balance),
        limits=table.limits,
        takes_files=takes_files(create, models),
    )
    _check_ids(job)
    _check_outputs(job)
    return job


def _model(name: str, table: ModelTable, folder: Path) -> JobModel:
    place = f'models."{name}"'
    if not _MODEL.fullmatch(name):
        raise JobFileError(place, 'a model is named by owner and name, as in [models."acme/clip"].')
    for member, value in table.value.items():
        check_json(value, f"{place}.value.{member}")
    schema = schema_of(name, table, folder)
    return JobModel(name=name, description=table.description, value=table.value, schema=schema)


def _input_names(models: Iterable[JobModel]) -> list[str]:
    return sorted({name for model in models for name in model.schema.names})


def _auth(table: AuthTable) -> AuthTable:
    check_header_name(table.header, "auth.header")
    if not _SCHEME.fullmatch(table.scheme):
        raise JobFileError("auth.scheme", f"{table.scheme!r} is no word such as Bearer, Key or Token.")
    return table


def _poll_rules(table: JobFileTable) -> PollRules:
    poll: PollTable = table.poll
    if poll.longest_seconds < max(poll.first_seconds, poll.changed_seconds):
        raise JobFileError("poll.longest_seconds", "it is less than first_seconds or changed_seconds.")
    return PollRules(
        first_seconds=poll.first_seconds,
        changed_seconds=poll.changed_seconds,
        longest_seconds=poll.longest_seconds,
        per_second=table.limits.polls_per_second,
        at_once=table.limits.polls_at_once,
        gone_seconds=poll.gone_seconds,
    )


def _content(table: ContentTable, of_run: Known) -> ContentForm:
    request = request_form(table, "content", {**of_run, "output": ()})
    if table.url is None and table.method != "GET":
        raise JobFileError("content.method", "a file is fetched by GET; only an answer with its `url` may be a POST.")
    return ContentForm(
        request=request,
        takes_output=any(name.root == "output" for name in request.names()),
        url=places_of(table.url, "content.url"),
    )


def _find(table: FindTable, known: Known) -> FindForm:
    if (table.cursor is None) != (table.next_path is None):
        raise JobFileError("find", "`cursor` and `next_path` belong together: where it stands, and where it is sent.")
    if table.next is not None and table.cursor is not None:
        raise JobFileError("find.next", "it excludes `cursor` and `next_path`: one of them leads to the next page.")
    first = request_form(table, "find", {name: one for name, one in known.items() if name != "cursor"})
    following: RequestForm | None = None
    if table.next_path is not None:
        following = msgspec.structs.replace(first, path=path_template(table.next_path, "find.next_path", known))
        if all(name.root != "cursor" for name in following.path.names):
            raise JobFileError("find.next_path", "it does not have {cursor}, so that each page would be the same.")
    if not table.match:
        raise JobFileError("find.match", "it is empty, so that every run of the list would be taken.")
    match = tuple(
        (places_of(one.at, f"find.match[{i}].at"), templates_in(one.equals, f"find.match[{i}].equals", known))
        for i, one in enumerate(table.match)
    )
    is_unique = any(isinstance(one, Template) and _names_us(one) for _, one in match)
    if table.created_at is None and not is_unique:
        text = (
            "without `created_at` an older run with the same input could be taken; say where the time stands, or"
            " compare with {prediction.id}."
        )
        raise JobFileError("find", text)
    return FindForm(
        request=first,
        following=following,
        items=steps_of(table.items, "find.items"),
        id=places_of(table.id, "find.id"),
        match=match,
        is_unique=is_unique,
        created_at=places_of(table.created_at, "find.created_at"),
        cursor=places_of(table.cursor, "find.cursor"),
        next=places_of(table.next, "find.next"),
        settle_seconds=table.settle_seconds,
    )


def _balance(table: BalanceTable) -> BalanceForm:
    request = request_form(table, "balance", {})
    return BalanceForm(request=request, at=places_of(table.at, "balance.at"), unit=table.unit)


def _names_us(template: Template) -> bool:
    return any(name.root == "prediction" for name in template.names)


def _check_ids(job: Job) -> None:
    """Check that the requests about one run contain its id."""
    for form in (job.poll, job.cancel):
        if form is not None and all(name.root != "id" for name in form.names()):
            raise JobFileError(form.place, "it does not have {id}, so that every run would be the same.")
    if job.content is not None and all(name.root not in ("id", "output") for name in job.content.request.names()):
        raise JobFileError("content", "it has neither {id} nor {output}, so that every run would have the same output.")


def _check_outputs(job: Job) -> None:
    """Check that the output of each model is defined."""
    if job.content is not None and job.content.takes_output and not job.answer.output:
        raise JobFileError("content", "it has {output}, and answer.output does not say where that stands.")
    if job.answer.output:
        return
    for name, model in job.models.items():
        if not model.schema.has_file_output:
            text = "its output is no file; say with answer.output where it stands."
            raise JobFileError(f'models."{name}".output', text)
        if job.content is None:
            raise JobFileError("answer", "it has no member `output`, and there is no [content] for files.")
