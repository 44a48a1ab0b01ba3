"""A server with hostile texts at every place that takes a text, put there by its own API, and where its pages are."""

import html
import json
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any, Final

from process import Halley

HERE: Final = Path(__file__).parent
sys.path.append(str(HERE / "models" / "hostile"))

from attempts import SHORT, all_of_them  # noqa: E402 - the model's own list
from hostile_service import HostileService, settings, use  # noqa: E402

HOSTILE: Final = "hostile/everything"
GRID: Final = "grid-0123456789abcdef"  # the tag of a grid run
_LINK: Final = re.compile(r"""(?:href|action)="([^"]*)\"""")


class Furnished:
    """The server, one prediction for each thing to see, and a session of the admin outside the browser."""

    ENVIRONMENT: Final = {"HALLEY_INPUTS__ALLOW_FOLDERS": json.dumps([f"/mark-environment {SHORT[2]}"])}
    _CONFIG: Final = f"""
[webhooks]
retry_first_seconds = 0.1
retry_for_seconds = 1

[models."{HOSTILE}"]
path = {json.dumps(str(HERE / "models/hostile"))}
env = "current"
preload = true

[models."wide/wide"]
path = {json.dumps(str(HERE / "models/wide"))}
env = "current"
"""

    @staticmethod
    def config(service: HostileService, home: Path) -> str:
        """The settings of its server, whose files are in `home`."""
        broken = home / "broken"
        broken.mkdir(exist_ok=True)
        (broken / "predict.py").write_text(f"raise RuntimeError({all_of_them('broken')!r})\n")
        (broken / "cog.yaml").write_text('predict: "predict.py:Predictor"\n')
        model = f'[models."hostile/broken"]\npath = {json.dumps(str(broken))}\nenv = "current"\npreload = true\n'
        return Furnished._CONFIG + model + settings(service.url, home)

    def __init__(self, server: Halley) -> None:
        self.server = server
        self.predictions: dict[str, str] = {}  # by what there is to see
        self.more: dict[str, str] = {}  # other ids by their kind
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        form = urllib.parse.urlencode({"key": server.key, "next": "/ui"}).encode()
        self._opener.open(server.url + "/ui/sign-in", form, timeout=120).close()

    def read(self, path: str) -> tuple[int, str]:
        """Status and text of a page, as the admin sees it."""
        try:
            with self._opener.open(self.server.url + path, timeout=120) as answer:
                return answer.status, answer.read().decode("utf-8", "replace")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode("utf-8", "replace")

    def is_page(self, path: str) -> bool:
        """Whether it is a page to look at, not a file to download or a stream."""
        try:
            with self._opener.open(self.server.url + path, timeout=120) as answer:
                return str(answer.headers["content-type"]).startswith("text/html")
        except urllib.error.HTTPError:
            return True  # its test shall say so

    def delivery(self) -> str:
        """The page of a webhook whose receiver gave a hostile answer."""
        query = f"prediction={self.predictions['texts']}"
        _, _, page = self.server.call("GET", f"/v1/webhooks/deliveries?{query}")
        return f"/ui/webhooks/{page['results'][0]['id']}"

    def links(self, path: str) -> list[str]:
        """Paths under /ui that a page leads to, without forms' targets that only take a POST."""
        found = [html.unescape(one) for one in _LINK.findall(self.read(path)[1])]
        joined = [urllib.parse.urljoin(path, one).partition("#")[0] for one in found if "://" not in one]
        return [one for one in dict.fromkeys(joined) if one == "/ui" or one.startswith(("/ui/", "/ui?"))]


def furnish(server: Halley, service: HostileService) -> Furnished:
    made = Furnished(server)

    def run(label: str, model: str, given: dict[str, Any], **members: Any) -> str:
        body = {"input": given, **members}
        asked = {"Prefer": "wait=60"} if label != "running" else {}
        status, _, answer = server.call("POST", f"/v1/models/{model}/predictions", body, headers=asked)
        assert status == 201, (label, answer)
        assert label == "running" or answer["status"] in {"succeeded", "failed"}, (label, answer)
        made.predictions[label] = str(answer["id"])
        return str(answer["id"])

    prompt = all_of_them("prompt")
    hook = f"{service.hook}/mark-webhook?{urllib.parse.quote(SHORT[0], safe='<>()=')}"
    run("texts", HOSTILE, {"prompt": prompt, "how": SHORT[2]}, webhook=hook, tags=[*SHORT, "mark-tag"])
    run("failed", HOSTILE, {"prompt": prompt, "how": "fail"}, tags=list(SHORT))
    run("files", HOSTILE, {"prompt": prompt, "how": "files"})
    run("json", HOSTILE, {"prompt": prompt, "how": "json"})
    run("picture", "demo/paint", {"prompt": "a lake", "seed": 1, "num_outputs": 2})
    run("other picture", "demo/paint", {"prompt": "a lake " + "x" * 400, "seed": 2})
    for number, one in enumerate(SHORT[:2]):
        run(f"grid {number}", HOSTILE, {"prompt": one, "how": "texts"}, tags=[GRID])
    run("text", "demo/text", {"prompt": "\u202eThe \u0634\u0643\u0631\u0627", "max_tokens": 5})
    run("running", "demo/sleep", {"seconds": 3000})
    use(run)
    boundary = uuid.uuid4().hex
    name = f"mark-file-name {SHORT[2]}.png".replace('"', "%22")
    upload = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="content"; filename="{name}"\r\n'
        f"Content-Type: text/html\r\n\r\n{SHORT[0]}\r\n--{boundary}--\r\n"
    )
    content_type = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    status, _, file = server.call("POST", "/v1/files", upload.encode(), headers=content_type)
    assert status == 201, file
    made.more["file"] = file["id"]
    status, _, key = server.call("POST", "/v1/keys", {"username": "other", "name": f"mark-key {SHORT[1]}"})
    assert status == 201, key
    made.more["key"] = key["id"]
    # what one part of the API may not have yet is left out: the pages of it are then missing, too
    server.call("POST", f"/v1/predictions/{made.predictions['failed']}/rerun", {})
    bulk = {"action": "cancel", "filter": {"model": HOSTILE, "error": f"mark-bulk {SHORT[0]}"}}
    status, _, answer = server.call("POST", "/v1/bulk-actions", bulk)
    if status == 201:
        made.more["bulk"] = answer["id"]
    until_delivered(server, made.predictions["texts"])
    return made


def until_delivered(server: Halley, prediction: str, seconds: float = 60) -> None:
    """Wait until an attempt to send its webhook has been recorded."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        _, _, page = server.call("GET", f"/v1/webhooks/deliveries?prediction={prediction}")
        if any(one["state"] != "sending" for one in page["results"]):
            return
        time.sleep(0.05)
    raise AssertionError("no webhook was sent")
