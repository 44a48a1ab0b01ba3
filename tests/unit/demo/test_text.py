import pytest

from unit.demo.loading import load

predict = load("text", "predict.py")


@pytest.fixture(scope="module")
def predictor():
    made = predict.Predictor()
    made.setup()
    return made


@pytest.fixture
def recorded(predictor, monkeypatch):
    metrics = {}
    monkeypatch.setattr(predictor, "record_metric", metrics.__setitem__)
    return metrics


def write(predictor, prompt="A function is", max_tokens=60, seed=7, delay=0.0):
    return list(predictor.predict(prompt, max_tokens, seed, delay))


def test_a_seed_gives_the_same_text_each_time(predictor):
    assert write(predictor) == write(predictor) != write(predictor, seed=8)


def test_another_process_would_write_the_same(predictor):
    other = predict.Predictor()
    other.setup()

    assert write(other) == write(predictor)


@pytest.mark.parametrize("count", [1, 2, 60, 4096])
def test_as_many_tokens_as_asked_for(predictor, count):
    assert len(write(predictor, max_tokens=count)) == count


def test_it_writes_on_from_the_prompt(predictor):
    pieces = write(predictor, prompt="A function is")

    assert pieces[0].startswith(" ")
    assert pieces[0].strip() in predictor.after_pair["function", "is"]


def test_pieces_join_to_a_text_with_single_spaces(predictor):
    text = "".join(write(predictor, max_tokens=500))

    assert "  " not in text
    assert " \n" not in text
    assert "\n " not in text


@pytest.mark.parametrize("prompt", ["", " ", "\n", "xyzzy", "静か", "word " * 4000])
def test_any_prompt_is_continued(predictor, prompt):
    assert len(write(predictor, prompt=prompt, max_tokens=20)) == 20


def test_a_prompt_that_ends_in_a_space_gets_no_second_one(predictor):
    assert not write(predictor, prompt="A function is ")[0].startswith(" ")


def test_without_a_seed_one_is_drawn_and_shown(predictor, capsys):
    text = write(predictor, seed=None)
    shown = int(capsys.readouterr().out.removeprefix("Using seed: "))

    assert write(predictor, seed=shown) == text


def test_token_figures_are_recorded(predictor, recorded):
    write(predictor, prompt="The import statement", max_tokens=12)

    assert recorded["input_token_count"] == 3
    assert recorded["output_token_count"] == 12
    assert recorded["time_to_first_token"] >= 0
    assert recorded["tokens_per_second"] > 0


def test_a_text_that_is_canceled_has_its_figures(predictor, recorded):
    pieces = predictor.predict("A function is", 60, 7, 0.0)
    for _ in range(3):
        next(pieces)
    pieces.close()

    assert recorded["output_token_count"] == 3


def test_the_delay_is_slept_before_every_token_in_small_pieces(predictor, monkeypatch):
    clock = SteppedClock()
    monkeypatch.setattr(predict, "time", clock)

    write(predictor, max_tokens=5, delay=0.1)

    assert sum(clock.slept) == pytest.approx(0.5)
    assert max(clock.slept) <= predict.SLICE_SECONDS


class SteppedClock:
    """Stands for the time module: sleeping moves it on at once."""

    def __init__(self):
        self.slept = []

    def monotonic(self):
        return sum(self.slept)

    perf_counter = monotonic

    def sleep(self, seconds):
        self.slept.append(seconds)
