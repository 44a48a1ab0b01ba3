from cog import current_scope

VALUES = {"flag": True, "count": 1, "part": 0.5, "text": "a", "list": [1, "b"], "table": {"a": {"b": None}}}


def run() -> str:
    for name, value in VALUES.items():
        current_scope().record_metric(name, value)
    return "done"
