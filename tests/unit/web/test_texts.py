"""Parts of long texts, logs, and the files of an output."""

import random
import tracemalloc
from typing import Final

import msgspec
import pytest

from halley.web.templating import with_code
from halley.web.views import texts
from halley.web.views.home import line_of
from halley.web.views.media import MediaFile, file_of_link, files_in, kind_of_type
from halley.web.views.result import result_of
from halley.web.views.run import ShownRun
from halley.web.views.texts import cut, part_of, plain_log, plain_long_log, pretty

PIECES: Final = (
    "x",
    "x" * 40,
    "x" * 300,
    "x" * 700,
    "\x1b",
    "\x1bM",
    "\x1b[1;31m",
    "\x1b]0;title\x07",
    "\x1b]0;" + "t" * 254 + "\x07",
    "\x1b\\",
    "\x1b]8;;u\x1b\\",
    "\x1b]8;;u\x1b\\\x1b\\",
    "\x1b]8;;" + "u" * 253 + "\x1b\\",
)


def test_a_long_text_is_shown_in_parts_the_last_one_first() -> None:
    text = "".join(map(str, range(10)))
    last = part_of(text, characters=4)
    assert (last.text, last.number, last.count, last.size) == ("89", 3, 3, 10)
    assert (last.earlier, last.later, last.is_whole) == (2, None, False)
    assert [part_of(text, number, characters=4).text for number in (0, 1, 2, 9)] == ["0123", "0123", "4567", "89"]
    assert (part_of("").text, part_of("").is_whole) == ("", True)


def test_a_log_is_shown_as_a_terminal_leaves_it() -> None:
    assert plain_log("a\r\nb\r\n") == "a\nb\n"
    assert plain_log(" 10%\r 50%\r100%\nend") == "100%\nend"
    assert plain_log("half\r") == "half"
    assert plain_log("\x1b[1;31mred\x1b[0m \x1b]0;title\x07.\x1b]8;;http://x\x1b\\link") == "red .link"


def test_json_is_formatted_unless_it_is_large() -> None:
    assert pretty(b'{"a":[1]}').text == '{\n  "a": [\n    1\n  ]\n}'
    large = pretty(msgspec.json.encode(list(range(400_000))))
    assert large.text.startswith("[0,1,2")
    assert not large.is_whole
    assert len(large.text) == 200_000
    assert cut("abcdef", 4) == "abc…"


def test_the_files_of_an_output_are_found_at_any_depth() -> None:
    link = "http://localhost:1986/halley/d/cap-1/out%20a.PNG"
    value = {"list": [link, "text", {"more": "https://x/d/cap/b.mp4"}], "no": ["https://x/other/b.png", 5]}
    found = files_in(msgspec.json.encode(value), limit=10)
    assert found == [
        MediaFile(path="/halley/d/cap-1/out%20a.PNG", name="out a.PNG", kind="image"),
        MediaFile(path="/d/cap/b.mp4", name="b.mp4", kind="video"),
    ]
    assert len(files_in(msgspec.json.encode([link] * 50), limit=3)) == 3


def test_strange_links_are_no_files() -> None:
    for text in ("", "/d/a/b.png", "http://[", "http://x/../d/a/b.png", "http://x/d//b.png", "http://x/d/a/",
                 "http://x/d/a/b/c.png", "http://x//y.example/d/a/b.png", "javascript:/d/a/b.png",
                 "http://x/\\y.example/d/a/b.png", "http://x/d/a/" + "b" * 3000):  # fmt: skip
        assert file_of_link(text) is None, text
    svg = file_of_link("http://x/d/a/b.svg")
    assert svg is not None
    assert svg.kind == "other"
    assert [kind_of_type(one) for one in ("image/png", "image/svg+xml", "text/html", "audio/wav", "")] == [
        "image", "other", "other", "audio", "other",
    ]  # fmt: skip


def test_a_large_output_is_not_copied_to_show_its_beginning() -> None:
    output = msgspec.Raw(b'"' + b"a line of text\\n" * 1_000_000 + b'"')
    run = ShownRun(
        id="x", model="a/b", version="v", status="succeeded", created_at="2026-01-01T00:00:00Z", output=output
    )
    for show in (lambda: result_of(run, ()).output.text, lambda: line_of(run), lambda: pretty(output)):
        show()  # what it loads is no part of it
        tracemalloc.start()
        shown = show()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert shown is not None
        assert peak < 2**21, f"{peak} bytes for an output of {memoryview(output).nbytes}"
    assert result_of(run, ()).output.text.text.startswith("a line of text\na line")


def test_words_in_backticks_are_code_and_nothing_else_is_markup() -> None:
    assert with_code("run `halley <x>` & wait") == "run <code>halley &lt;x&gt;</code> &amp; wait"
    assert with_code("<b>no code</b>") == "&lt;b&gt;no code&lt;/b&gt;"


@pytest.mark.anyio
@pytest.mark.parametrize("shift", range(0, 40, 3))
async def test_a_long_log_is_cleaned_in_pieces(monkeypatch: pytest.MonkeyPatch, shift: int) -> None:
    monkeypatch.setattr(texts, "_PIECE", 1000)
    line = "\x1b[1;31mred\x1b[0m \x1b]0;title\x07.\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\ 10%\r 50%\r100%\n"
    log = "x" * shift + line * 60 + "\x1b]" * 900
    turns = 0

    async def counted(_: float) -> None:
        nonlocal turns
        turns += 1

    monkeypatch.setattr(texts.asyncio, "sleep", counted)
    assert await plain_long_log(log) == plain_log(log)
    assert turns >= len(log) // 1000


@pytest.mark.anyio
async def test_no_end_of_a_piece_is_in_an_escape_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "_PIECE", 1000)
    chance = random.Random(8)
    logs = ["".join(chance.choices(PIECES, k=60)) for _ in range(500)]
    logs += ["a" * shift + "\x1b\\" * 900 for shift in (999, 1000)]
    for log in logs:
        assert await plain_long_log(log) == plain_log(log), log[900:1100]
