import cog


@cog.concurrent(max=2)
def run() -> str:
    return "never"
