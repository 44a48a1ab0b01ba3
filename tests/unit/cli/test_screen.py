"""Words for people and for programs."""

import io
import re

from halley.cli.progress import ProgressDisplay, step_of
from halley.cli.screen import Screen, clean, human_bytes


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def screen(*, out=None, err=None, environ=None):
    return Screen(out or io.StringIO(), err or io.StringIO(), environ or {})


def test_programs_get_no_colour_bars_or_live_lines():
    out, err = io.StringIO(), io.StringIO()
    plain = screen(out=out, err=err)
    plain.status("running")
    plain.table(["ID", "STATUS"], [["a", plain.mark("failed")]])
    plain.error("it broke", "mend it")
    assert plain.wants_json
    assert out.getvalue() == "ID  STATUS\na   failed\n"
    assert err.getvalue() == "error: it broke\n  mend it\n"


def test_on_a_terminal_the_progress_line_is_removed():
    err = Terminal()
    live = screen(out=Terminal(), err=err)
    live.status("running 1/2")
    live.note("done")
    assert err.getvalue() == "\r\x1b[2Krunning 1/2\r\x1b[2Kdone\n"


def test_no_color_and_dumb_terminals_are_respected():
    for environ in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"CI": "true"}):
        out, err = Terminal(), Terminal()
        quiet = screen(out=out, err=err, environ=environ)
        quiet.status("running")
        quiet.table(["STATUS"], [[quiet.mark("succeeded")]])
        quiet.error("no")
        assert "\x1b" not in out.getvalue() + err.getvalue()
        assert "✓ succeeded" in out.getvalue()


def test_what_a_model_prints_cannot_drive_the_terminal():
    assert clean("a\x1b[2J\x07b\x9b\tc\nd\r") == "a[2Jb\tc\nd"


def test_sizes():
    assert [human_bytes(size) for size in (0, 999, 1000, 128_400, 2_500_000)] == [
        "0 B",
        "999 B",
        "1.0 KB",
        "128 KB",
        "2.5 MB",
    ]


def test_progress_shows_each_log_line_once_and_bars_as_a_bar():
    err = Terminal()
    progress = ProgressDisplay(screen(err=err))
    progress.show({"status": "processing", "logs": "one\ntw"})
    progress.show({"status": "processing", "logs": "one\ntwo\n 50%|#####     | 3/6 [00:01]\n"})
    progress.show({"status": "succeeded", "logs": "one\ntwo\n 50%|#####     | 3/6 [00:01]\nlast"})
    text = err.getvalue()
    assert [text.count(word) for word in ("| one", "| two", "| tw\n", "| last", "| #")] == [1, 1, 0, 1, 0]
    assert "3/6" in text


def test_what_a_prediction_waits_for_is_shown():
    err = Terminal()
    progress = ProgressDisplay(screen(err=err))
    progress.show({"status": "starting"})
    progress.show({"status": "starting", "starting_reason": "its model is being loaded"})
    assert "queued\r" in err.getvalue()
    assert "queued: its model is being loaded" in err.getvalue()


def test_text_is_written_as_it_grows_and_once():
    out = io.StringIO()
    progress = ProgressDisplay(screen(out=out), stream="text")
    for output in (None, ["a"], ["a", " b"], ["a", " b"]):
        progress.show({"status": "processing", "output": output})
    assert out.getvalue() == "a b"
    assert progress.streamed


def event(kind, **data):
    return {"seq": 1, "event": kind, "data": data}


def test_events_and_readings_by_turns_show_everything_once():
    out, err = io.StringIO(), Terminal()
    progress = ProgressDisplay(screen(out=out, err=err), stream="text")
    progress.hear(event("status", status="starting"))
    progress.hear(event("status", status="processing"))
    progress.hear(event("logs", text="one\r\ntw"))
    progress.hear(event("output", value="a", is_item=True))
    progress.hear(event("logs", text="o\n 50%|#####     | 3/6\n"))
    progress.hear(event("progress", fraction=0.5, current=3, total=6))
    progress.hear(event("attempt_lost", text="--- lost ---\n"))
    logs = "one\r\ntwo\n 50%|#####     | 3/6\n--- lost ---\nthree"
    progress.show({"status": "processing", "logs": logs, "output": ["a", "b"]})
    progress.hear(event("output", value=["c", "d"], is_item=False))
    progress.hear(event("metric", name="x", value=1, mode="replace"))
    progress.hear(event("something_new", what="ever"))
    progress.hear(event("status", status="succeeded"))
    progress.show({"status": "succeeded", "logs": logs, "output": ["a", "b", "c", "d"]})
    assert out.getvalue() == "abcd"
    shown = [line.rpartition("\r\x1b[2K")[2] for line in err.getvalue().split("\n")]
    assert [line for line in shown if line.startswith("  |")] == ["  | one", "  | two", "  | --- lost ---", "  | three"]


def test_a_bar_comes_from_progress_events_and_stays_within_the_window(monkeypatch):
    err = Terminal()
    progress = ProgressDisplay(screen(err=err))
    progress.hear(event("status", status="processing"))
    progress.hear(event("progress", fraction=0.5, current=3, total=6))
    line = err.getvalue().rpartition("\r\x1b[2K")[2]
    assert line.endswith(" 3/6")
    assert line.count("━") + line.count("╺") == 30
    monkeypatch.setenv("COLUMNS", "30")
    progress.hear(event("progress", fraction=0.9, current=9, total=6))
    line = re.sub(r"\x1b\[[0-9;]*m", "", err.getvalue().rpartition("\r\x1b[2K")[2])
    assert len(line) < 30
    assert line.endswith(" 9/6")


def test_a_bar_without_a_total_is_no_bar():
    err = Terminal()
    progress = ProgressDisplay(screen(err=err))
    progress.hear(event("status", status="processing"))
    progress.hear(event("progress", fraction=0.0, current=0, total=0))
    assert err.getvalue().endswith("  running")


def test_programs_get_one_item_a_line():
    out = io.StringIO()
    progress = ProgressDisplay(screen(out=out), stream="items")
    progress.hear(event("output", value={"a": [1]}, is_item=True))
    progress.hear(event("output", value="é\n", is_item=True))
    assert out.getvalue() == '{"a": [1]}\n"é\\n"\n'
    out = Terminal()
    ProgressDisplay(screen(out=out), stream="items").hear(event("output", value="plain", is_item=True))
    assert out.getvalue() == "plain\n"


def test_the_last_step_counts():
    assert step_of("1%|x| 1/100\r 40%|xxxx      | 40/100 [..]") == (40, 100)
    assert step_of("done 5/6") is None
