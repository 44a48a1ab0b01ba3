"""Snippets for the official JavaScript client."""

from typing import Final

from halley.web.snippets.literals import JAVASCRIPT, is_exact_in_javascript, literal
from halley.web.snippets.request import KEY_NAME, WEBHOOK, SnippetRequest, Way

_SAVE: Final = (
    "const data = await fetch(String({file})); // a link or a data: URL",
    'const name = `{name}.${{data.headers.get("content-type").split("/")[1]}}`;',
    "await writeFile(name, Buffer.from(await data.arrayBuffer()));",
    "console.log(name);",
)


def code(way: Way, asked: SnippetRequest) -> str:
    """The snippet of one way."""
    return "\n".join([*_head(way, asked), *_body(way, asked)]) + "\n"


def _body(way: Way, asked: SnippetRequest) -> list[str]:
    match way:
        case "wait":
            return [
                f"const output = await replicate.run({_text(asked.ref)}, {{",
                f"  input: {_given(asked)},",
                "});",
                *_use_output(asked, "output"),
            ]
        case "poll":
            return [
                *_create("let", asked),
                'while (!["succeeded", "failed", "canceled"].includes(prediction.status)) {',
                "  await new Promise((resolve) => setTimeout(resolve, 500));",
                "  prediction = await replicate.predictions.get(prediction.id);",
                "}",
                "console.log(prediction.id, prediction.status, prediction.error ?? prediction.metrics);",
                'if (prediction.status === "succeeded") {',
                *(f"  {line}" for line in _use_output(asked, "prediction.output")),
                "}",
            ]
        case "stream":
            return [
                f"for await (const event of replicate.stream({_text(asked.ref)}, {{",
                f"  input: {_given(asked)},",
                "})) {",
                "  process.stdout.write(String(event));",
                "}",
            ]
        case "webhook":
            return [*_create("const", asked, with_webhook=True), "console.log(prediction.id);"]


def _text(value: str) -> str:
    return literal(value, JAVASCRIPT)


def _given(asked: SnippetRequest) -> str:
    return literal(asked.input, JAVASCRIPT, 1)


def _head(way: Way, asked: SnippetRequest) -> list[str]:
    saving = way in ("wait", "poll") and asked.output in ("file", "files")
    inexact = not is_exact_in_javascript(asked.input)
    return [
        "// npm install replicate",
        *(["// JavaScript rounds whole numbers above 2 ** 53."] if inexact else []),
        *(['import { writeFile } from "node:fs/promises";'] if saving else []),
        'import Replicate from "replicate";',
        "",
        "const replicate = new Replicate({",
        f"  auth: process.env.{KEY_NAME},",
        f"  baseUrl: {_text(f'{asked.base_url}/v1')},",
        "});",
        "",
    ]


def _create(word: str, asked: SnippetRequest, *, with_webhook: bool = False) -> list[str]:
    what = f"model: {_text(asked.model)}" if asked.version is None else f"version: {_text(asked.version)}"
    hook = [f'  webhook: "{WEBHOOK}", // your address', '  webhook_events_filter: ["completed"],']
    return [
        f"{word} prediction = await replicate.predictions.create({{",
        f"  {what},",
        f"  input: {_given(asked)},",
        *(hook if with_webhook else []),
        "});",
    ]


def _use_output(asked: SnippetRequest, value: str) -> list[str]:
    match asked.output:
        case "text":
            return [f'console.log({value}.join(""));']
        case "file":
            return [line.format(file=value, name="output") for line in _SAVE]
        case "files":
            lines = [line.format(file="file", name="output-${number}") for line in _SAVE]
            return [f"for (const [number, file] of {value}.entries()) {{", *(f"  {line}" for line in lines), "}"]
        case "value":
            return [f"console.log({value});"]
