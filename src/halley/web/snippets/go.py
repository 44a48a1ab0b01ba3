"""Snippets for the official Go client."""

from halley.web.snippets.literals import GO, literal
from halley.web.snippets.request import WEBHOOK, SnippetRequest, Way


def code(way: Way, asked: SnippetRequest) -> str:
    """The snippet of one way. This client always polls when it waits."""
    given = _given(asked)
    lines = [f"input := {given}", *_client(asked), *_body(way, asked)]
    return "\n".join([*_head(way, given), *(f"\t{line}" for line in lines), "}"]) + "\n"


def _body(way: Way, asked: SnippetRequest) -> list[str]:
    match way:
        case "wait":
            return [
                *_create(asked, "nil"),
                *_checked("client.Wait(ctx, prediction)"),
                "fmt.Println(prediction.Status, prediction.Output)",
            ]
        case "poll":
            return [
                *_create(asked, "nil"),
                "for !prediction.Status.Terminated() {",
                "\ttime.Sleep(500 * time.Millisecond)",
                "\tprediction, err = client.GetPrediction(ctx, prediction.ID)",
                "\tif err != nil {",
                "\t\tpanic(err)",
                "\t}",
                "}",
                "fmt.Println(prediction.Status, prediction.Output)",
            ]
        case "stream":
            return [
                f"events, errs := client.Stream(ctx, {_text(asked.ref)}, input, nil)",
                "for event := range events {",
                "\tfmt.Print(event.Data)",
                "}",
                *_checked("<-errs"),
            ]
        case "webhook":
            return [
                "webhook := replicate.Webhook{",
                f'\tURL:    "{WEBHOOK}", // your address',
                "\tEvents: []replicate.WebhookEventType{replicate.WebhookEventCompleted},",
                "}",
                *_create(asked, "&webhook"),
                "fmt.Println(prediction.ID)",
            ]


def _text(value: str) -> str:
    return literal(value, GO)


def _given(asked: SnippetRequest) -> str:
    # the type of the whole input has a name of its own
    return "replicate.PredictionInput" + literal(asked.input, GO, 1).removeprefix("map[string]any")


def _head(way: Way, given: str) -> list[str]:
    packages = ["context", *(["encoding/json"] if "json.Number(" in given else []), "fmt"]
    packages += ["time"] if way == "poll" else []
    return [
        "// go get github.com/replicate/replicate-go",
        "package main",
        "",
        "import (",
        *(f'\t"{package}"' for package in packages),
        "",
        '\t"github.com/replicate/replicate-go"',
        ")",
        "",
        "func main() {",
        "\tctx := context.Background()",
    ]


def _client(asked: SnippetRequest) -> list[str]:
    return [
        "client, err := replicate.NewClient(",
        "\treplicate.WithTokenFromEnv(), // REPLICATE_API_TOKEN",
        f"\treplicate.WithBaseURL({_text(f'{asked.base_url}/v1')}),",
        ")",
        *_check(),
    ]


def _create(asked: SnippetRequest, webhook: str) -> list[str]:
    if asked.version is None:
        names = f"{_text(asked.owner)}, {_text(asked.name)}"
        return [
            f"prediction, err := client.CreatePredictionWithModel(ctx, {names}, input, {webhook}, false)",
            *_check(),
        ]
    return [
        f"prediction, err := client.CreatePrediction(ctx, {_text(asked.version)}, input, {webhook}, false)",
        *_check(),
    ]


def _check() -> list[str]:
    return ["if err != nil {", "\tpanic(err)", "}"]


def _checked(call: str) -> list[str]:
    return [f"if err := {call}; err != nil {{", "\tpanic(err)", "}"]
