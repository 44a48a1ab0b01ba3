"""Forms of random schemas and inputs, posted by a real browser: what comes back must be what was shown."""

import argparse
import json
import random
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from python_multipart import FormParser
from python_multipart.multipart import parse_options_header

from browser.chromium import Chromium, Tab, installed
from halley.web.forms.schema import read_form
from halley.web.forms.view import input_from, state_of_input, state_of_post, view_of
from unit.web.test_form_round_trip import _BODY, document, objects, same, schemas

BATCH = 50


class Site:
    """Shows one page, and keeps what is posted to it."""

    def __init__(self) -> None:
        site = self
        self.page = ""
        self.posted: list[tuple[str, str]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(site.page.encode())

            def do_POST(self) -> None:
                kind, options = parse_options_header(self.headers["content-type"])
                site.posted = []
                parser = FormParser(kind.decode(), self.keep, lambda _: None, boundary=options[b"boundary"])
                parser.write(self.rfile.read(int(self.headers["content-length"])))
                parser.finalize()
                self.answer(b"<!doctype html><title>posted</title><p id=posted>posted")

            def keep(self, field: Any) -> None:
                site.posted.append((field.field_name.decode(), (field.value or b"").decode()))

            def answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/html; charset=utf-8")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def come_back(site: Site, tab: Tab, schema: Any, value: Any) -> Any:
    """The input that the browser posts from the form of this one."""
    form = read_form(document(schema))
    inside = _BODY.render(view=view_of(form, state_of_input(form, value)))
    head = "<!doctype html><meta charset=utf-8><title>form</title>"
    inside = inside.replace(
        "<form>", '<form method="post" novalidate enctype="multipart/form-data"><button id="go">Run</button>'
    )
    site.page = f"{head}{inside}"
    tab.goto("/")
    tab.click("#go")
    tab.shows("#posted")
    found, faults = input_from(form, state_of_post(form, site.posted))
    assert faults == (), faults
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--forms", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=300.0, help="begin no further batch after this time")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    given_arguments = parser.parse_args()
    if not installed():
        print("needs a browser and its driver: scripts/install browser")
        return 2
    site, tried = Site(), 0
    began = time.monotonic()
    quick = settings(
        max_examples=BATCH,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # each try takes a page: it prints what it tried instead of looking for less
        suppress_health_check=list(HealthCheck),
    )

    def batch(number: int, tab: Tab) -> None:
        @seed(number)
        @quick
        @given(st.data())
        def check(data: Any) -> None:
            nonlocal tried
            schema, values = data.draw(objects(schemas()))
            value = data.draw(values)
            tried += 1
            try:
                found = come_back(site, tab, schema, value)
                assert same(found, value), f"back {json.dumps(found)}"
            except Exception:
                print(f"schema {json.dumps(schema)}\nvalue {json.dumps(value)}")
                raise

        check()

    with Chromium() as browser, browser.open(site.origin) as tab, tab.without_javascript():
        while tried < given_arguments.forms and time.monotonic() - began < given_arguments.seconds:
            batch(given_arguments.seed + tried, tab)
    site.server.shutdown()
    print(f"{tried} forms in {time.monotonic() - began:.0f} s, seed {given_arguments.seed}: all inputs came back")
    return 0


if __name__ == "__main__":
    sys.exit(main())
