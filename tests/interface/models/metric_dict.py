from cog import current_scope


def run() -> str:
    metrics = current_scope().metrics
    metrics["tokens"] = 1
    metrics["tokens"] = 42
    metrics.record("losses", 0.5, mode="append")
    return "done"
