from cog import current_scope

NAN = float("nan")


def run() -> str:
    record = current_scope().record_metric
    record("loss", NAN)
    record("parts", [1.5, NAN, {"a": float("inf")}])
    record("table", {"a": -float("inf"), "b": 2})
    record("sum", NAN, mode="incr")
    record("line", NAN, mode="append")
    record("fine", 0.5)
    return "done"
