"""Seeing a prediction to its end over the event log, whatever happens to the connection."""

import io

import pytest

from halley.cli.client import PollResult
from halley.cli.failures import NoEventLog, ServerRefused, StillRunning, Unreachable
from halley.cli.following import Following
from halley.cli.logs import LogPrinter
from halley.cli.progress import ProgressDisplay
from halley.cli.running import stream_mode
from halley.cli.screen import Screen
from halley.cli.sse import read_data


class Timing:
    def __init__(self):
        self.at = 0.0

    def monotonic(self):
        return self.at

    def sleep(self, seconds):
        self.at += seconds

    def random(self):
        return 0.5


def status(seq, word):
    return {"seq": seq, "event": "status", "data": {"status": word}}


def said(seq):
    return {"seq": seq, "event": "logs", "data": {"text": f"{seq}\n"}}


WHOLE = [status(1, "starting"), status(2, "processing"), *map(said, range(3, 8)), status(8, "succeeded")]


class Server:
    """Has a log. `script` says for each connection when it breaks: after so many events, or with an error at once."""

    def __init__(self, *script, log=WHOLE, seconds=0.0, ends="succeeded", refuses=None):
        self.ends = ends
        self.refuses = refuses
        self.timing = Timing()
        self.script = list(script)
        self.log = log
        self.seconds = seconds  # between two events
        self.asked = []
        self.looks = 0

    def events(self, id, *, after=0):
        self.asked.append(after)
        cut = self.script.pop(0) if self.script else None
        if isinstance(cut, Exception):
            raise cut
        for number, event in enumerate(event for event in self.log if event["seq"] > after):
            if number == cut:
                raise Unreachable("The connection broke.")
            self.timing.at += self.seconds
            yield event
            yield None  # comments come between

    def look(self, id, *, wait_seconds=0):
        self.looks += 1
        self.timing.at += wait_seconds
        if self.refuses is not None:
            raise self.refuses
        read = {"id": id, "status": self.ends, "logs": "all", "output": "x"}
        return PollResult(prediction=read, held=True, elapsed_seconds=wait_seconds)


class Ear:
    def __init__(self):
        self.heard = []
        self.shown = []

    def hear(self, event):
        self.heard.append(event["seq"])

    def show(self, prediction):
        self.shown.append(prediction["status"])


def follow(server, **more):
    ear, trouble = Ear(), []
    final = Following(server, "p", ear, on_trouble=trouble.append, **more).to_the_end(None)
    return final, ear, trouble


def test_it_receives_all_events_and_reads_the_prediction_once():
    server = Server()
    final, ear, trouble = follow(server)
    assert (final["status"], final["logs"]) == ("succeeded", "all")
    assert ear.heard == list(range(1, 9))
    assert (server.asked, server.looks, trouble) == ([0], 1, [])


def test_logs_are_shown_once_though_the_first_reading_has_them():
    server, err = Server(), io.StringIO()
    look = server.look

    def with_logs(id, *, wait_seconds=0):
        found = look(id, wait_seconds=wait_seconds)
        found.prediction["logs"] = "3\n4\n5\n6\n7\n"
        return found

    server.look = with_logs
    progress = ProgressDisplay(Screen(io.StringIO(), err, {}))
    Following(server, "p", progress, on_trouble=lambda _: None).to_the_end({"id": "p", "status": "starting"})
    assert err.getvalue().splitlines() == [f"  | {number}" for number in range(3, 8)]


@pytest.mark.parametrize("cut", range(8))
def test_a_cut_at_every_event_is_taken_up_in_silence(cut):
    server = Server(cut)
    _, ear, trouble = follow(server)
    assert ear.heard == list(range(1, 9))
    assert (server.asked, server.looks, trouble) == ([0, cut], 1, [])


def test_a_cut_after_every_event():
    server = Server(*[1] * 7)
    _, ear, trouble = follow(server)
    assert ear.heard == list(range(1, 9))
    assert (server.asked, trouble) == (list(range(8)), [])


def test_an_unreachable_server_is_reported_once_and_then_read():
    server = Server(3, *[Unreachable("Nobody listens.")] * 20)
    _, ear, trouble = follow(server)
    assert ear.heard == [1, 2, 3]
    assert trouble == ["Nobody listens."]
    assert len(server.asked) <= 9
    assert server.looks == 1
    assert server.timing.at > 10


def test_a_server_without_a_log_is_read_and_never_asked_for_it_again():
    server = Server(NoEventLog("none"), NoEventLog("none"))
    ear = Ear()
    following = Following(server, "p", ear, on_trouble=print)
    following.to_the_end(None)
    following.to_the_end(None)
    assert (ear.heard, server.asked, server.looks) == ([], [0], 2)


def test_a_stream_that_something_in_between_keeps_back_is_given_up_soon():
    server = Server(*[Unreachable("no answer within 45 s")] * 20)
    _, ear, trouble = follow(server)
    assert (len(server.asked), trouble, ear.shown) == (2, [], ["succeeded"])


def test_a_refusal_is_reported_by_the_read():
    server = Server(NoEventLog("404"), refuses=ServerRefused(404, "no such prediction"))
    with pytest.raises(ServerRefused, match="no such"):
        follow(server)


@pytest.mark.parametrize("seconds", [0.5, 3.0, 10.0])
def test_the_time_limit_is_kept_although_a_stream_may_be_silent(seconds):
    log = [status(1, "starting"), *map(said, range(2, 200))]
    server = Server(log=log, seconds=seconds, ends="processing")
    with pytest.raises(StillRunning, match="has not ended after 30 s"):
        follow(server, timeout_seconds=30.0)
    assert 30 <= server.timing.at < 32


def test_it_continues_where_it_was_interrupted():
    server = Server()
    ear = Ear()

    class Pressed(Exception):
        pass

    def hear(event):
        ear.heard.append(event["seq"])
        if event["seq"] == 4:
            ear.hear = lambda event: ear.heard.append(event["seq"])
            raise Pressed

    ear.hear = hear
    following = Following(server, "p", ear, on_trouble=print)
    with pytest.raises(Pressed):
        following.to_the_end(None)
    following.to_the_end({"id": "p", "status": "processing"})
    assert ear.heard == list(range(1, 9))
    assert server.asked == [0, 4]


def test_what_is_over_is_not_asked_for():
    server = Server()
    known = {"id": "p", "status": "canceled"}
    assert Following(server, "p", Ear(), on_trouble=print).to_the_end(known) == known
    assert (server.asked, server.looks) == ([], 0)


def test_logs_are_printed_as_they_are_and_once():
    out = io.StringIO()
    printer = LogPrinter(Screen(out, io.StringIO(), {}))
    printer.hear({"seq": 1, "event": "logs", "data": {"text": "a\r 50%|##| 1/2"}})
    printer.hear({"seq": 2, "event": "progress", "data": {"fraction": 0.5, "current": 1, "total": 2}})
    printer.hear({"seq": 3, "event": "attempt_lost", "data": {"text": "\n--\n"}})
    printer.show({"logs": "a\r 50%|##| 1/2\n--\nend"})
    assert out.getvalue() == "a\r 50%|##| 1/2\n--\nend"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize("line_break", [b"\n", b"\r\n"])
def test_events_are_parsed_from_any_pieces(size, line_break):
    text = "data: a\u2028\x85b"
    lines = [b": hi", b"", b"event: output", b"id: 1", text.encode(), b"data:c", b"data:  d", b"", b"data: cut off"]
    raw = line_break.join(lines) + line_break
    pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
    assert [data for data in read_data(pieces) if data is not None] == ["a\u2028\x85b\nc\n d"]
    assert None in list(read_data([b": hi\n", b"\n"]))


def test_a_large_event_in_many_pieces_takes_no_longer_than_its_size():
    pieces = [b"data: ", *[b"x" * 65536] * 500, b"\n\n"]
    (data,) = (data for data in read_data(pieces) if data is not None)
    assert len(data) == 500 * 65536


@pytest.mark.parametrize(
    ("wanted", "text", "kept", "json_only", "how"),
    [
        (None, True, False, False, "text"),
        (None, True, True, False, None),
        (None, True, False, True, None),
        (None, False, False, False, None),
        (True, True, True, False, "text"),
        (True, True, False, True, "items"),
        (True, False, False, False, "items"),
        (False, True, False, False, None),
    ],
)
def test_text_is_streamed_by_default_and_the_rest_on_request(wanted, text, kept, json_only, how):
    assert stream_mode(wanted, text, is_kept=kept, json_only=json_only) == how


class Loading(Server):
    """Its model loads for two readings; the log has nothing to say of it."""

    def look(self, id, *, wait_seconds=0):
        if self.looks < 2:
            self.looks += 1
            reason = f"its model is being loaded: shard {self.looks}"
            read = {"id": id, "status": "starting", "starting_reason": reason}
            return PollResult(prediction=read, held=False, elapsed_seconds=0.0)
        return super().look(id, wait_seconds=wait_seconds)


def test_what_it_waits_for_is_shown_before_the_log_has_anything_to_say():
    server, ear = Loading(), Ear()
    ear.show = lambda prediction: ear.shown.append(prediction.get("starting_reason"))
    final = Following(server, "p", ear, on_trouble=lambda _: None).to_the_end({"id": "p", "status": "starting"})
    reasons = [f"its model is being loaded: shard {number}" for number in (1, 2)]
    assert ear.shown == [*reasons, None]  # the last is the whole, at the end
    assert ear.heard == list(range(1, 9))
    assert final["status"] == "succeeded"
