"""The question before what cannot be undone."""

from halley.web.visit import View


def confirmation(title: str, text: str, *, button: str, action: str, back: str) -> View:
    """A page whose button posts to `action`."""
    data = {"title": title, "text": text, "action": action}
    return View("confirm.html", data, button=button, back=back)
