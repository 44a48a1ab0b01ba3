class Runner:
    @staticmethod
    def run(text: str) -> str:
        return text
