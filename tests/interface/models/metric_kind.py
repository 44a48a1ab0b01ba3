from cog import current_scope


def run() -> str:
    current_scope().record_metric("a", 1)
    current_scope().record_metric("a", "one")
    return "taken"
