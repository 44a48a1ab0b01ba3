"""Snippets for the official Python client 1.x."""

from typing import Final

from halley.web.snippets.literals import PYTHON, literal
from halley.web.snippets.request import KEY_NAME, WEBHOOK, SnippetRequest, Way

NEEDS_URLOPEN: Final = "from urllib.request import urlopen"
_SAVE: Final = (
    "with urlopen(str({file})) as data:  # a link or a data: URL",
    '    path = Path(f"{name}.{{data.headers.get_content_subtype()}}")',
    "    path.write_bytes(data.read())",
    "    print(path)",
)


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
                'while prediction.status not in ("succeeded", "failed", "canceled"):',
                "    time.sleep(0.5)",
                "    prediction.reload()",
                "print(prediction.id, prediction.status, prediction.error or prediction.metrics)",
                *_guarded(use_output(asked, "prediction.output")),
            ]
        case "stream":
            return stream(asked)
        case "webhook":
            return [*_create(asked, with_webhook=True), "print(prediction.id)"]


def run(asked: SnippetRequest) -> list[str]:
    """Lines that run it and use its output."""
    return [f"output = replicate.run({text(asked.ref)}, input={given(asked)})", *use_output(asked, "output")]


def stream(asked: SnippetRequest) -> list[str]:
    """Lines that print its output as it comes."""
    return [
        f"for event in replicate.stream({text(asked.ref)}, input={given(asked)}):",
        '    print(str(event), end="", flush=True)',
    ]


def text(value: str) -> str:
    """A text as a literal."""
    return literal(value, PYTHON)


def given(asked: SnippetRequest, level: int = 0) -> str:
    """The input as a literal, on a line with this indentation."""
    return literal(asked.input, PYTHON, level)


def use_output(asked: SnippetRequest, value: str) -> list[str]:
    """Lines that print an output, or save its files."""
    match asked.output:
        case "text":
            return [f'print("".join({value}))']
        case "file":
            return _saving(value, "output")
        case "files":
            lines = _saving("file", "output-{number}")
            return [f"for number, file in enumerate({value}):", *(f"    {line}" for line in lines)]
        case "value":
            return [f"print({value})"]


def _saving(file: str, name: str) -> list[str]:
    return [line.format(file=file, name=name) for line in _SAVE]


def saves_files(way: Way, asked: SnippetRequest) -> bool:
    """Whether the snippet writes files."""
    return way in ("wait", "poll") and asked.output in ("file", "files")


def _guarded(lines: list[str]) -> list[str]:
    return ['if prediction.status == "succeeded":', *(f"    {line}" for line in lines)]


def _head(way: Way, asked: SnippetRequest) -> list[str]:
    saving = saves_files(way, asked)
    return [
        '# pip install "replicate<2"',
        "import os",
        *(["import time"] if way == "poll" else []),
        *(["from pathlib import Path", NEEDS_URLOPEN] if saving else []),
        "",
        "from replicate.client import Client",
        "",
        f'replicate = Client(base_url={text(asked.base_url)}, api_token=os.environ["{KEY_NAME}"])',
        "",
    ]


def _create(asked: SnippetRequest, *, with_webhook: bool = False) -> list[str]:
    what = f"model={text(asked.model)}" if asked.version is None else f"version={text(asked.version)}"
    return [
        "prediction = replicate.predictions.create(",
        f"    {what},",
        f"    input={given(asked, 1)},",
        *(webhook_arguments() if with_webhook else []),
        ")",
    ]


def webhook_arguments() -> list[str]:
    """The arguments of a create that sends webhooks."""
    return [f'    webhook="{WEBHOOK}",  # your address', '    webhook_events_filter=["completed"],']
