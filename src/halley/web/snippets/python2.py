"""Snippets for the official Python client 2.0 beta.

They use the module's functions and the environment: `stream` of a client object of 2.0.0b4 forgets its base URL and
its key.
"""

from halley.web.snippets.python1 import (
    NEEDS_URLOPEN,
    given,
    run,
    saves_files,
    stream,
    text,
    use_output,
    webhook_arguments,
)
from halley.web.snippets.request import KEY_NAME, SnippetRequest, Way


def code(way: Way, asked: SnippetRequest) -> str:
    """The snippet of one way."""
    return "\n".join([*_head(way, asked), *_body(way, asked)]) + "\n"


def _body(way: Way, asked: SnippetRequest) -> list[str]:
    match way:
        case "wait":
            return run(asked)
        case "poll":
            return [
                *_create(asked),
                'while prediction.status not in ("succeeded", "failed", "canceled", "aborted"):',
                "    time.sleep(0.5)",
                "    prediction = replicate.predictions.get(prediction_id=prediction.id)",
                "print(prediction.id, prediction.status, prediction.error or prediction.metrics)",
                'if prediction.status == "succeeded":',
                *(f"    {line}" for line in use_output(asked, "prediction.output")),
            ]
        case "stream":
            return stream(asked)
        case "webhook":
            return [*_create(asked, with_webhook=True), "print(prediction.id)"]


def _head(way: Way, asked: SnippetRequest) -> list[str]:
    return [
        "# pip install --pre replicate",
        "import os",
        *(["import time"] if way == "poll" else []),
        *(["from pathlib import Path", NEEDS_URLOPEN] if saves_files(way, asked) else []),
        "",
        f'os.environ["REPLICATE_BASE_URL"] = {text(asked.base_url)}  # set before the import',
        f"import replicate  # it reads the key from {KEY_NAME}",
        "",
    ]


def _create(asked: SnippetRequest, *, with_webhook: bool = False) -> list[str]:
    if asked.version is None:
        call = "replicate.models.predictions.create"
        what = [f"    model_owner={text(asked.owner)},", f"    model_name={text(asked.name)},"]
    else:
        call, what = "replicate.predictions.create", [f"    version={text(asked.version)},"]
    return [
        f"prediction = {call}(",
        *what,
        f"    input={given(asked, 1)},",
        *(webhook_arguments() if with_webhook else []),
        ")",
    ]
