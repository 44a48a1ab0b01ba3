"""Log text: whose it is, in which order it comes, and in how many frames."""

import pytest


def test_all_output_belongs_to_the_only_running_prediction(start):
    child = start("logs.py:Ways")
    setup = "".join(f["text"] for f in child.seen if f["t"] == "log")
    assert sorted(setup.splitlines()) == ["setup says", "setup writes"]
    story = child.predict()
    expected = ["print", "stderr", "logging", "bytes é", "fd 1", "fd 2", "subprocess", "thread"]
    assert sorted(story.logs.splitlines()) == sorted(expected)
    assert {f["id"] for f in child.seen if f["t"] == "log"} == {None, "p1"}


def test_concurrent_predictions_keep_their_own_logs(start):
    child = start("logs.py:Together")
    first, second = child.send({"name": "anna"}), child.send({"name": "bo"})
    for prediction, name in ((first, "anna"), (second, "bo")):
        story = child.story(prediction)
        assert story.value == name
        assert story.logs == f"hello from {name}\nlog of {name}\ninner of {name}\n"
        assert [frame["value"] for frame in story.of("metric")] == [len(name)]
    child.stop()
    child.read_to_end()
    unsigned = "".join(f["text"] for f in child.seen if f["t"] == "log" and f["id"] is None)
    assert unsigned == "unsigned\n" * 2


def test_raw_text_belongs_to_the_replica_while_several_run_and_to_the_last_one_when_it_is_alone(start):
    child = start("logs.py:Crowd")
    predictions = [child.send({"name": name}) for name in "abcd"]
    stories = {name: child.story(prediction) for name, prediction in zip("abcd", predictions, strict=True)}
    ends = [frame["value"] for frame in child.seen if frame["t"] == "done"]
    assert {name: story.logs for name, story in stories.items() if story.logs} == {ends[-1]: f"unsigned {ends[-1]}\n"}
    child.stop()
    child.read_to_end()
    unsigned = "".join(f["text"] for f in child.seen if f["t"] == "log" and f["id"] is None)
    assert unsigned == "".join(f"unsigned {name}\n" for name in ends[:-1])


def test_progress_is_kept_to_the_letter(start):
    logs = start("logs.py:progress").predict().logs
    assert logs == "  0%|          | 0/2\r 50%|#####     | 1/2\r100%|##########| 2/2\n"


def test_a_flood_of_lines_is_few_frames(start):
    story = start("logs.py:flood").predict(lines=100_000)
    assert story.logs == "".join(f"line {n}\n" for n in range(100_000))
    assert len(story.of("log")) < 500


def test_a_flood_from_a_subprocess_is_whole(start):
    story = start("logs.py:raw_flood").predict(kilobytes=4096)
    assert len(story.logs) == 4096 * 1024
    assert len(story.of("log")) < 500


def test_one_long_line_is_cut_into_frames(start):
    story = start("logs.py:long_line").predict(size=1_000_000)
    assert story.logs == "x" * 1_000_000 + "\n"
    assert max(len(frame["text"]) for frame in story.of("log")) <= 64 * 2**10


@pytest.mark.parametrize("how", ["stream", "descriptor"])
def test_closed_output_does_no_harm(start, how):
    child = start("logs.py:closes")
    assert child.predict(how=how).logs == "after closing\n"
    assert child.predict(how="stream").logs == "after closing\n"


def test_text_that_is_no_text(start):
    assert start("logs.py:surrogate").predict().logs == "half \ufffd pair\n"


def test_finaliser_may_print(start):
    assert start("logs.py:finaliser").predict().logs == "before\nfinalised\n"


def test_streams_look_like_streams(start):
    assert start("logs.py:attributes").predict().value == ["utf-8", False, 1, True, 2, True]


def test_a_line_appears_while_predict_runs(start):
    child = start("cancels.py:busy")
    child.send({})
    child.wait_for_log("started")  # it never ends by itself
