from cog import BaseRunner


class Runner(BaseRunner):
    def run(self, text: str = "hello", times: int = 2, scale: float = 1, loud: bool = True) -> str:
        return f"{text} {times} {scale} {loud}"
