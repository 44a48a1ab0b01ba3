from cog import current_scope


def run() -> str:
    current_scope().record_metric("timing.load", 1)
    current_scope().record_metric("timing.run.gpu", 2)
    current_scope().record_metric("a.b.c.d", 3)
    return "done"
