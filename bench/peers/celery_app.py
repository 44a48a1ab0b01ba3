"""The same no-op as a Celery task behind FastAPI: queue and results in Redis, on the port that REDIS_PORT names."""

import os

from celery import Celery
from fastapi import FastAPI
from pydantic import BaseModel

redis = f"redis://127.0.0.1:{os.environ['REDIS_PORT']}/0"
tasks = Celery("celery_app", broker=redis, backend=redis)
app = FastAPI()


class Input(BaseModel):
    prompt: str = ""


class Create(BaseModel):
    input: Input


@tasks.task
def noop(prompt: str) -> str:
    return prompt


@app.post("/predictions")
def create(body: Create) -> dict[str, str]:
    # not `async def`: `get` blocks, so FastAPI runs this in its threads
    return {"status": "succeeded", "output": noop.delay(body.input.prompt).get(timeout=30)}
