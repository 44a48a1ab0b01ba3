"""The dashboard: pages under /ui, a client of our own API in the same process.

To add a page:
1. Write a handler `async def show(visit: Visit) -> View` in `pages/<subject>.py`. It gets its data by
   `await visit.get("/v1/...", query)`, which is what the API answers to the reader's key; a refusal becomes the error
   page by itself. Return `View("<subject>.html", {"name": value})`: these values are the page's `.json`, and the
   template sees them by name. Values for the template alone are keywords of `View`.
2. Write `templates/<subject>.html`: `{% extends "base.html" %}`, `{% import "parts.html" as parts with context %}`,
   `{% block title %}`, `{% block main %}`. Links are `url("/ui/...")`, scripts `asset("play.js")`,
   user text has `dir="auto"`. The JSON version of `/ui/x/{name}` is `/ui/x/{name}.json`, that of `/ui/x` is
   `/ui/x.json`: both exist without further work.
3. Add a row `PageRow(name=..., pattern="/ui/...", show=..., nav="Text")` to `routes/<subject>.py`, and its table to
   `routes/__init__.py`. `needs=Scope.ADMIN` hides its navigation link from others.

To add an action: a handler `async def act(visit: Visit, form: PostedForm) -> Redirect` that asks the API with
`await visit.post("/v1/...", body)` and returns `Redirect("/ui/...", "Canceled.")`; a row `Action(..., act=...)`; in the
template `parts.action_button("/ui/...", "Cancel")`, or a form with `method="post"` and `{{ parts.csrf() }}`. From a
script: `fetch` with the headers `x-csrf-token` (of `<meta name="csrf">`) and `accept: application/json` gives
`{"location", "note"}`, or the API's problem. Host, origin, frames, session and token are checked before any handler.

Live: an element with `id` and `data-live` is replaced when predictions of the reader change (`app.js`); another topic
is named by `data-live-topic` on any element. No forms inside of it, except buttons.
"""
