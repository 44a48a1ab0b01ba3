"""Forms of predictors, inputs, and how a prediction fails."""

import pytest


@pytest.mark.parametrize(
    ("ref", "value"),
    [
        ("forms.py", "run x"),  # Runner is tried before Predictor
        ("forms.py:Predictor", "predict x"),
        ("forms.py:Both", "run x"),
        ("forms.py:Bare", "bare x"),
        ("forms.py:Static", "static x"),
        ("forms.py:AsyncSetup", "waited for x"),
        ("forms.py:function", "function x"),
        ("forms.py:async_function", "async x"),
    ],
)
def test_forms(start, ref, value):
    assert start(ref).predict(text="x").value == value


def test_weights(start, write_model):
    assert start("forms.py:Weighed").predict().value == "NoneType None"
    url = "https://example.com/w.bin"
    assert start("forms.py:Weighed", environment={"COG_WEIGHTS": url}).predict().value == f"str {url}"
    assert start("forms.py:Weighed", environment={"COG_WEIGHTS": "forms.py"}).predict().value == "Path forms.py"
    folder = write_model(
        "class Predictor:\n"
        "    def setup(self, weights): self.weights = weights\n"
        "    def predict(self) -> str: return self.weights.name\n"
    )
    (folder / "weights").mkdir()
    assert start("predict.py", folder=folder).predict().value == "weights"


def test_defaults_are_fresh_each_time(start):
    child = start("inputs.py:Kinds")
    expected = [
        "float 1.5",
        "int 3",
        "bool False",
        "list ['a', 'b', 'c']",
        "Size <Size.SMALL: 'small'>",
        "str 'fast'",
        "NoneType None",
        "NoneType None",
        "NoneType None",
        "NoneType None",
    ]
    assert child.predict().value == expected
    assert child.predict().value == expected


def test_values_become_what_the_annotation_says(start):
    given = {"number": 2, "count": 4.0, "words": [], "size": "large", "maybe": 1, "anything": [1], "table": {"a": 1}}
    told = start("inputs.py:Kinds").predict(**given).value
    assert told[:2] == ["float 2.0", "int 4"]
    assert told[4] == "Size <Size.LARGE: 'large'>"
    assert told[6:] == ["int 1", "NoneType None", "list [1]", "dict {'a': 1}"]


def test_unknown_input_is_ignored_and_named(start):
    story = start("inputs.py:required").predict(text="a", other="b", zoom=1, angle=2)
    assert story.value == "ab"
    assert story.logs == "ignored input that this model does not have: angle, zoom\n"


def test_missing_input_is_named(start):
    assert start("inputs.py:required").predict(text="a").error == "input other is required"


def test_keyword_arguments_take_every_name(start):
    assert start("inputs.py:keywords").predict(text="a", b=1).value == {"text": "a", "b": 1}


def test_no_annotations(start, describe):
    assert start("inputs.py:plain").predict(a={"x": 1}).value == [{"x": 1}, 2]
    assert describe("inputs.py:plain")["warnings"] == [
        "input a has no type; any JSON value is taken",
        "input b has no type; any JSON value is taken",
        "output: no return type; any JSON value may come",
    ]


def test_secret_is_wrapped_and_never_printed(start):
    child = start("inputs.py:secret")
    story = child.predict(key="s3cret", keys=["other"])
    assert story.value == 6
    assert story.logs == "key is ********** Secret(**********) [Secret(**********)]\n"


def test_paths_are_paths(start, tmp_path):
    given = {"image": "/x/a.png", "more": ["/x/b.png"], "extra": "/x/c.png"}
    child = start("inputs.py:path")
    told = child.predict(paths=[["image"], ["more", "0"], ["extra"]], **given).value
    assert told == ["Path /x/a.png", "Path /x/b.png", "Path /x/c.png"]
    assert child.predict(paths=[["image"]], image="/x/a.png", extra="/x/c.png").value[1] == "str /x/c.png"


def test_file_is_open(start, tmp_path):
    document = tmp_path / "d.txt"
    document.write_text("inside")
    child = start("inputs.py:file")
    assert child.predict(paths=[["document"]], document=str(document)).value == "inside"
    assert "input document: " in child.predict(paths=[["document"]], document="/nowhere").error


def test_large_request(start):
    text = "é" * 300_000  # many reads
    child = start("forms.py:function")
    assert child.predict(text=text).value == "function " + text
    assert child.predict(text="small").value == "function small"


def test_error_says_class_message_and_line(start):
    child = start("faults.py:raises")
    story = child.predict()
    assert story.error == "ValueError: bad thing (faults.py:10)"
    assert story.logs.startswith("about to fail\nTraceback (most recent call last):\n")
    assert story.logs.endswith("ValueError: bad thing\n")
    assert story.done["traceback"] in story.logs
    assert "_halley_runner" not in story.logs
    assert child.predict(text="again").error == "ValueError: again (faults.py:10)"


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("silent", "KeyError (faults.py:14)"),
        ("chained", "RuntimeError: cannot read it (faults.py:21)"),
        ("out_of_memory", "MemoryError: out of memory (faults.py:31)"),
        ("interrupted", "KeyboardInterrupt (faults.py:35)"),
    ],
)
def test_other_errors(start, name, error):
    assert start(f"faults.py:{name}").predict().error == error


def test_cause_is_in_the_log(start):
    logs = start("faults.py:chained").predict().logs
    assert "invalid literal for int()" in logs
    assert "direct cause" in logs


def test_place_is_in_the_model_not_in_the_library(start):
    story = start("faults.py:in_library").predict()
    assert story.error.endswith("(faults.py:27)")
    assert "decoder.py" in story.logs


def test_long_message_is_cut_in_the_error_and_whole_in_the_log(start):
    story = start("faults.py:raises").predict(text="m" * 10_000)
    assert len(story.error) < 5_000
    assert "m" * 10_000 in story.logs


def test_replica_lives_on_after_a_failure(start):
    child = start("faults.py:recovers")
    assert child.predict(fail=True).done["status"] == "failed"
    assert child.predict(fail=False).value == "well"


def test_predict_time_is_reported(start):
    assert start("forms.py:function").predict(text="").done["predict_time"] >= 0


@pytest.mark.parametrize(
    ("ref", "configured", "slots"),
    [
        ("logs.py:Together", None, 2),  # from the decorator
        ("logs.py:Together", 5, 5),
        ("forms.py:async_function", None, 1),
        ("forms.py:function", 5, 1),  # not async
    ],
)
def test_slots(start, ref, configured, slots):
    child = start(ref, max_concurrency=configured)
    assert child.seen[-1] == {"t": "ready", "slots": slots}
    described = child.seen[1]
    assert described["max_concurrency"] == slots
    assert any("is not async" in warning for warning in described["warnings"]) == (configured == 5 and slots == 1)
