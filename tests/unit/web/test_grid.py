"""Grid runs: values, plans and tables."""

from typing import Any

import msgspec
import pytest

from halley.web.views.grid import GridAxis, GridInvalid, plan, read_input, read_values, table, varied
from halley.web.views.run import ShownRun


def run(number: int, model: str = "a/b", **values: Any) -> ShownRun:
    raw = msgspec.Raw(msgspec.json.encode(values))
    at = "2026-01-01T00:00:00Z"
    return ShownRun(id=f"p{number}", model=model, version="1", status="starting", created_at=at, input=raw)


def test_values_are_read_by_the_type_of_the_input() -> None:
    assert read_values("a lake\n\n 5 \na lake\n", "string", "x") == ("a lake", "5")
    assert read_values("1\n2\n1", "integer", "x") == (1, 2)
    assert read_values('5\nfive\n{"a": 1}\ntrue', "", "x") == (5, "five", {"a": 1}, True)
    with pytest.raises(GridInvalid, match="'x' is no integer") as refused:
        read_values("1\nx", "integer", "y")
    assert refused.value.field == "y"


def test_the_shared_input_is_an_object() -> None:
    assert read_input("  ") == {}
    assert read_input('{"a": 1}') == {"a": 1}
    for text in ("[]", "5", "{", '{"a":' * 500 + "1" + "}" * 500):
        with pytest.raises(GridInvalid):
            read_input(text)


def test_a_plan_goes_down_then_across() -> None:
    made = plan(["a/b"], {"seed": 0, "keep": 1}, [
        GridAxis(name="input.seed", values=(1, 2)), GridAxis(name="input.prompt", values=("x", "y")),
    ])  # fmt: skip
    assert [one.input for one in made.runs] == [
        {"seed": 1, "keep": 1, "prompt": "x"}, {"seed": 1, "keep": 1, "prompt": "y"},
        {"seed": 2, "keep": 1, "prompt": "x"}, {"seed": 2, "keep": 1, "prompt": "y"},
    ]  # fmt: skip
    assert plan(["a/b"], {}, []).runs[0].model == "a/b"


def test_the_same_input_to_several_models() -> None:
    made = plan(["a/b", "c/d", "a/b"], {"prompt": "x"}, [GridAxis(name="input.seed", values=(1, 2))])
    assert [(one.model, one.input["seed"]) for one in made.runs] == [("a/b", 1), ("c/d", 1), ("a/b", 2), ("c/d", 2)]
    assert (made.down, made.across) == (
        GridAxis(name="input.seed", values=(1, 2)), GridAxis(name="model", values=("a/b", "c/d")),
    )  # fmt: skip
    beside = plan(["a/b", "c/d"], {}, [])
    assert (beside.down, beside.across) == (None, GridAxis(name="model", values=("a/b", "c/d")))


@pytest.mark.parametrize(("models", "axes", "field"), [
    ([], [], "model"),
    (["a/b"], [GridAxis(name="input.n", values=tuple(range(65)))], "x"),
    (["a/b"], [GridAxis(name=f"input.{name}", values=tuple(range(9))) for name in "nm"], "y"),
    (["a/b"], [GridAxis(name="input.n", values=(1,)), GridAxis(name="input.n", values=(2,))], "y"),
    (["a/b", "c/d"], [GridAxis(name="input.n", values=(1,)), GridAxis(name="input.m", values=(2,))], "y"),
])  # fmt: skip
def test_plans_that_make_no_table_are_refused(models: list[str], axes: list[GridAxis], field: str) -> None:
    with pytest.raises(GridInvalid) as refused:
        plan(models, {}, axes)
    assert refused.value.field == field


def test_runs_are_arranged_by_their_values() -> None:
    runs = [
        run(1, seed=1, prompt="x"),
        run(2, seed=1, prompt="y"),
        run(3, seed=2, prompt="x"),
        run(4, seed=2, prompt="x"),
    ]
    shown = table(runs, "input.seed", "input.prompt")
    assert shown.columns == ("x", "y")
    assert [(row.label, [[one.id for one in cell.runs] for cell in row.cells]) for row in shown.rows] == [
        ("1", [["p1"], ["p2"]]), ("2", [["p3", "p4"], []]),
    ]  # fmt: skip
    by_model = table([run(1), run(2, "c/d")], "model", "")
    assert (by_model.columns, [row.label for row in by_model.rows]) == (("",), ["a/b", "c/d"])
    assert table([], "model", "input.seed").rows == ()
    assert table([run(1)], "input.seed", "").rows[0].label == "(not given)"


def test_axes_are_what_differs() -> None:
    assert varied([run(1, seed=1, keep=0, prompt="x"), run(2, seed=2, keep=0, prompt="y")]) == (
        "input.seed",
        "input.prompt",
    )
    assert varied([run(1, seed=1), run(2, seed=2)]) == ("input.seed", "")
    assert varied([run(1, seed=1), run(2, "c/d")]) == ("input.seed", "model")
    assert varied([run(1), run(2, "c/d")]) == ("", "model")
    assert varied([run(1), run(2)]) == varied([]) == ("", "")
