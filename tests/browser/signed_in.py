"""Signing in to the dashboard."""

from chromium import Tab


def sign_in(tab: Tab, key: str) -> None:
    """As a person does: paste the key."""
    tab.goto("/ui/sign-in")
    tab.fill("input[name=key]", key)
    tab.click("form button.primary")
    tab.until("() => !location.pathname.endsWith('/sign-in') && document.readyState === 'complete'")
