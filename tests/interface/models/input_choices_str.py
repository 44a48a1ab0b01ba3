from cog import Input


def run(scheduler: str = Input(choices=["DDIM", "K_EULER"], default="DDIM", description="How")) -> str:
    return scheduler
