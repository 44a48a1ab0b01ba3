"""Cases for the official Python client 1.x, unmodified: python py1.py CASE '{"argument": ...}' prints JSON."""

import contextlib
import hashlib
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import replicate
from replicate.exceptions import ModelError, ReplicateError
from replicate.stream import EventSource
from replicate.webhook import Webhooks, WebhookValidationError


def picture(file):
    content = file.read()
    return {
        "kind": type(file).__name__,
        "magic": content[:4].hex(),
        "sha": hashlib.sha256(content).hexdigest(),
        "size": len(content),
    }


def latest(model):
    return f"{model}:{replicate.models.get(model).latest_version.id}"


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


def task(model, given, image=None, cancel=False):
    with contextlib.ExitStack() as files:
        if image is not None:
            given["image"] = files.enter_context(open(image, "rb"))
        made = replicate.predictions.create(model=model, input=given)
    if cancel:
        time.sleep(0.5)
        made.cancel()
    seen = []
    while made.status not in {"succeeded", "failed", "canceled"}:
        time.sleep(0.05)
        made.reload()
        if made.progress is not None and made.progress.percentage not in seen:
            seen.append(made.progress.percentage)
    links = made.output if isinstance(made.output, list) else [made.output] if made.output else []
    found = [hashlib.sha256(httpx.get(link).content).hexdigest() for link in links]
    keys = ("id", "status", "error", "output", "metrics", "logs", "input")
    return {**{key: getattr(made, key) for key in keys}, "seen": seen, "found": found}


def chain():
    # with a wait of its own the output is a link, which becomes the next input
    made = replicate.predictions.create(
        model="demo/paint", input={"prompt": "sea", "seed": 3, "width": 64, "height": 64, "output_format": "png"}
    )
    made.wait()
    return {"link": made.output[0], **picture(replicate.run("demo/upscale", input={"image": made.output[0]}))}


def stream():
    events = list(replicate.stream("demo/text", input={"prompt": "A function is", "max_tokens": 12, "seed": 1}))
    return {"text": "".join(str(event) for event in events), "events": [event.event.value for event in events]}


def read_stream(url, seen=()):
    """Read a stream as the client does, and come back with the last id until it has ended."""
    client, seen, how = replicate.default_client, list(seen), None
    while how is None:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        headers |= {"Last-Event-ID": seen[-1].id} if seen else {}
        try:
            with client._client.stream("GET", url, headers=headers) as response:
                for event in EventSource(client, response):
                    if event.event.value == "done":
                        how = event.data
                    seen.append(event)
        except RuntimeError as error:
            how = str(error)
        except httpx.HTTPError:
            time.sleep(0.05)
    ids = [event.id for event in seen]
    return {"text": "".join(map(str, seen)), "ids": ids, "how": how}


def cut_streams(count, tokens):
    """Streams that break somewhere on the way, each gone on with to its end."""
    told = []
    for _ in range(count):
        seen = []
        with contextlib.suppress(httpx.HTTPError):
            for event in replicate.stream(
                "demo/text", input={"prompt": "A function is", "max_tokens": tokens, "delay": 0.01}
            ):
                seen.append(event)  # noqa: PERF402 - what came before the cut counts
        made = replicate.predictions.list().results[0]
        if not seen or seen[-1].event.value != "done":
            told.append(read_stream(made.urls["stream"], seen))
        else:
            told.append({"text": "".join(map(str, seen)), "ids": [event.id for event in seen], "how": seen[-1].data})
        made.wait()
        told[-1]["stored"] = "".join(made.output)
    return told


def poll():
    prediction = replicate.predictions.create(model="demo/sleep", input={"seconds": 1.2})
    first = prediction.status
    prediction.wait()
    return {
        "first": first,
        "status": prediction.status,
        "output": prediction.output,
        "percentage": prediction.progress and prediction.progress.percentage,
        "metrics": prediction.metrics,
    }


def forgotten():
    prediction = replicate.predictions.create(
        model="demo/paint", input={"prompt": "sea", "seed": 3, "width": 64, "height": 64}
    )
    prediction.wait()
    link = prediction.output[0]
    before = {"status": httpx.get(link).status_code, "input": prediction.input, "output": prediction.output}
    while prediction.output is not None:
        time.sleep(0.2)
        prediction.reload()
    # this client does not know the member `data_removed`
    after = {"output": prediction.output, "input": prediction.input, "logs": prediction.logs, "data_removed": None}
    return {"before": before, "after": after, "state": prediction.status, "link": httpx.get(link).status_code}


def follow(model, **given):
    prediction = replicate.predictions.create(model=model, input=given)
    prediction.wait()
    return {"id": prediction.id, "status": prediction.status, "noticed": time.time(), "ended": prediction.completed_at}


def listing(count):
    ids = [replicate.predictions.create(model="demo/noop", input={"prompt": str(n)}).id for n in range(count)]
    seen = [item.id for page in replicate.paginate(replicate.predictions.list) for item in page]
    return {"made": ids, "seen": seen}


def cancel():
    prediction = replicate.predictions.create(model="demo/sleep", input={"seconds": 30})
    for _ in range(100):
        prediction.reload()
        if prediction.status == "processing":
            break
        time.sleep(0.05)
    prediction.cancel()
    after = prediction.status
    prediction.reload()
    return {"after": after, "later": prediction.status, "error": prediction.error}


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
    except ReplicateError as error:
        return {"status": error.status, "text": str(error)}
    return None


def unknown_model():
    try:
        replicate.run("demo/nothing", input={})
    except ReplicateError as error:
        return {"status": error.status, "text": str(error)}
    return None


def told(webhook, events=None):
    made = replicate.predictions.create(
        model="demo/text",
        input={"prompt": "A function is", "max_tokens": 12, "seed": 1},
        webhook=webhook,
        **({"webhook_events_filter": events} if events else {}),
    )
    return made.id


def secret():
    return replicate.webhooks.default.secret().key


def verify(headers, body):
    secret = replicate.webhooks.default.secret()
    try:
        Webhooks.validate(headers=headers, body=body, secret=secret, tolerance=300)
    except WebhookValidationError as error:
        return {"secret": secret.key, "valid": False, "error": type(error).__name__}
    return {"secret": secret.key, "valid": True}


def call(wait, seconds=0.5):
    if wait:
        return replicate.run("demo/sleep", input={"seconds": seconds})
    made = replicate.models.predictions.create("demo/sleep", input={"seconds": seconds})
    made.wait()
    return made.output


def calls(wait, at_once):
    with ThreadPoolExecutor(2 if at_once else 1) as pool:
        return list(pool.map(lambda _: call(wait), range(2)))


def call_in_vain():
    try:
        return call(wait=True)
    except httpx.TransportError as error:
        return str(error)


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](**json.loads(sys.argv[2]))))
