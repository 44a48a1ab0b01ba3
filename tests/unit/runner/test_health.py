"""The model's own healthcheck, asked on the control socket."""

import pytest


def health(child, number=7):
    child.send_control({"t": "healthcheck", "n": number})
    return child.read_control()


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ("def healthcheck(self): return True", "healthy", None),
        ("def healthcheck(self): pass", "healthy", None),
        ("async def healthcheck(self): return True", "healthy", None),
        ("def healthcheck(self): return False", "unhealthy", "healthcheck returned False"),
        ("async def healthcheck(self): return False", "unhealthy", "healthcheck returned False"),
        ("def healthcheck(self): raise ValueError('no disk')", "unhealthy", "ValueError: no disk (predict.py:2)"),
        ("def healthcheck(self): raise SystemExit(1)", "unhealthy", "SystemExit: 1 (predict.py:2)"),
        ("pass", "healthy", None),
    ],
)
@pytest.mark.parametrize("kind", ["def", "async def"])
def test_answer(start, write_model, describe, kind, body, status, says):
    folder = write_model(f"class Runner:\n    {body}\n    {kind} run(self) -> int: return 1\n")
    child = start("predict.py", folder=folder)
    assert health(child) == {"t": "health", "n": 7, "status": status, "error": says}
    assert child.predict().value == 1
    described = next(frame for frame in child.seen if frame["t"] == "described")
    assert described["healthcheck"] is (body != "pass")


def test_it_is_asked_beside_a_running_prediction(start, write_model):
    text = (
        "import threading\nclass Runner:\n    def setup(self): self.asked = threading.Event()\n"
        "    def healthcheck(self): self.asked.set()\n    def run(self) -> str:\n"
        "        print('runs')\n        self.asked.wait()\n        return 'asked'\n"
    )
    child = start("predict.py", folder=write_model(text))
    prediction = child.send({})
    child.wait_for_log("runs")
    assert health(child)["status"] == "healthy"
    assert child.story(prediction).value == "asked"


def test_one_that_hangs_is_unhealthy_and_holds_up_nothing(start, write_model):
    text = (
        "import threading\nclass Runner:\n    def healthcheck(self): threading.Event().wait()\n"
        "    def run(self) -> int: return 1\n"
    )
    child = start("predict.py", folder=write_model(text))
    child.send_control({"t": "healthcheck", "n": 1})
    assert child.predict().value == 1
    child.send_control({"t": "ping", "n": 2})
    said = {message["t"]: message for message in (child.read_control(), child.read_control())}
    assert said["pong"] == {"t": "pong", "n": 2}
    assert said["health"]["error"] == "healthcheck did not return within 5 s"
    assert health(child)["error"] == "the last healthcheck still runs"
