from cog import BaseModel, BaseRunner, Input, Secret


class Answer(BaseModel):
    words: list[str]
    authorised: bool
    note: str | None = None


class Runner(BaseRunner):
    def run(
        self,
        words: list[str] = Input(description="Words to keep"),
        api_key: Secret = Input(default=None, description="Key of another service"),
        limit: int | None = None,
    ) -> Answer:
        self.record_metric("words", len(words))
        return Answer(words=words[:limit], authorised=api_key is not None)
