"""Cases for the official Python client 2.0 beta, unmodified: python py2.py CASE '{"argument": ...}' prints JSON."""

import hashlib
import json
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import replicate
from replicate import APIStatusError
from replicate.exceptions import ModelError

warnings.simplefilter("ignore", DeprecationWarning)


def picture(file):
    content = file.read()
    return {
        "kind": type(file).__name__,
        "magic": content[:4].hex(),
        "sha": hashlib.sha256(content).hexdigest(),
        "size": len(content),
    }


def latest(model):
    owner, name = model.split("/")
    return f"{model}:{replicate.models.get(model_owner=owner, model_name=name).latest_version.id}"


def paint(pinned=False):
    ref = latest("demo/paint") if pinned else "demo/paint"
    files = replicate.run(
        ref, input={"prompt": "misty forest", "seed": 7, "num_outputs": 2, "width": 128, "height": 96}
    )
    return [picture(file) for file in list(files)]


def large():
    # more than what is ever put into a data: URL
    (file,) = replicate.run(
        "demo/paint", input={"prompt": "misty forest", "seed": 7, "width": 1024, "height": 1024, "output_format": "png"}
    )
    return {**picture(file), "url": file.url}


def text(pinned=False):
    ref = latest("demo/text") if pinned else "demo/text"
    return "".join(replicate.run(ref, input={"prompt": "A function is", "max_tokens": 12, "seed": 1}))


def upscale(path, pinned=False):
    ref = latest("demo/upscale") if pinned else "demo/upscale"
    with open(path, "rb") as image:
        return picture(replicate.run(ref, input={"image": image, "scale": 2}))


def chain():
    # use() creates without waiting: its outputs are links, fetched lazily
    (painted,) = replicate.use("demo/paint")(prompt="sea", seed=3, width=64, height=64, output_format="png")
    link = replicate.predictions.list().results[0].output[0]
    upscaled = replicate.use("demo/upscale")(image=painted)
    content = Path(str(upscaled)).read_bytes()
    return {
        "link": link,
        "kind": "URLPath",
        "magic": content[:4].hex(),
        "sha": hashlib.sha256(content).hexdigest(),
    }


def stream():
    parts = list(replicate.stream("demo/text", input={"prompt": "A function is", "max_tokens": 12, "seed": 1}))
    return {"text": "".join(str(part) for part in parts), "events": []}


def poll():
    prediction = replicate.models.predictions.create(model_owner="demo", model_name="sleep", input={"seconds": 1.2})
    first = prediction.status
    prediction = replicate.predictions.wait(prediction.id)
    return {
        "first": first,
        "status": prediction.status,
        "output": prediction.output,
        "percentage": None,
        "metrics": prediction.metrics.to_dict(),
    }


def forgotten():
    made = replicate.models.predictions.create(
        model_owner="demo", model_name="paint", input={"prompt": "sea", "seed": 3, "width": 64, "height": 64}
    )
    prediction = replicate.predictions.wait(made.id)
    link = prediction.output[0]
    before = {"status": httpx.get(link).status_code, "input": prediction.input, "output": prediction.output}
    while not prediction.data_removed:
        time.sleep(0.2)
        prediction = replicate.predictions.get(prediction_id=made.id)
    members = ("output", "input", "logs", "data_removed")
    after = {member: getattr(prediction, member) for member in members}
    return {"before": before, "after": after, "state": prediction.status, "link": httpx.get(link).status_code}


def follow(model, **given):
    owner, name = model.split("/")
    made = replicate.models.predictions.create(model_owner=owner, model_name=name, input=given)
    prediction = replicate.predictions.wait(made.id)
    ended = prediction.completed_at.isoformat()
    return {"id": prediction.id, "status": prediction.status, "noticed": time.time(), "ended": ended}


def listing(count):
    ids = [
        replicate.models.predictions.create(model_owner="demo", model_name="noop", input={"prompt": str(n)}).id
        for n in range(count)
    ]
    return {"made": ids, "seen": [item.id for item in replicate.predictions.list()]}


def cancel():
    made = replicate.models.predictions.create(model_owner="demo", model_name="sleep", input={"seconds": 30})
    for _ in range(100):
        if replicate.predictions.get(prediction_id=made.id).status == "processing":
            break
        time.sleep(0.05)
    after = replicate.predictions.cancel(prediction_id=made.id)
    later = replicate.predictions.get(prediction_id=made.id)
    return {"after": after.status, "later": later.status, "error": later.error}


def failing():
    try:
        replicate.run("demo/fail", input={"mode": "raise"})
    except ModelError as error:
        return {"error": str(error), "logs": error.prediction.logs}
    return None


def wait_runs_out():
    return str(replicate.run("demo/sleep", input={"seconds": 1.6}, wait=1))


def bad_input():
    try:
        replicate.run("demo/paint", input={"prompt": "x", "width": 5, "num_outputs": "many"})
    except APIStatusError as error:
        return {"status": error.status_code, "text": str(error)}
    return None


def unknown_model():
    try:
        replicate.run("demo/nothing", input={})
    except APIStatusError as error:
        return {"status": error.status_code, "text": str(error)}
    return None


def call(wait, seconds=0.5):
    if wait:
        return replicate.run("demo/sleep", input={"seconds": seconds})
    made = replicate.models.predictions.create(model_owner="demo", model_name="sleep", input={"seconds": seconds})
    return replicate.predictions.wait(made.id).output


def calls(wait, at_once, seconds=0.5):
    with ThreadPoolExecutor(2 if at_once else 1) as pool:
        return list(pool.map(lambda _: call(wait, seconds), range(2)))


def secret():
    return replicate.webhooks.default.secret.get().key


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](**json.loads(sys.argv[2]))))
