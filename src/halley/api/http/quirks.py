"""Special treatment of some clients: one table, with the beginning of the user agent as key.

Source: contract sections 0, 14 and 15; design section 7.
"""

from typing import Final

import msgspec


class QuirkProfile(msgspec.Struct, frozen=True, kw_only=True):
    """How a client is treated."""

    name: str
    agents: tuple[str, ...]  # the user agent begins with one of these
    data_urls: bool = False  # over plain http its run() makes files of data: URLs only
    hold_seconds: float = 0.0  # how long a poll may be held; 0: held only on request
    # beginnings of the versions whose poll interval was measured; others are held for less time
    tried: tuple[str, ...] = ()
    poll_seconds: float = 0.5  # its usual time between two polls
    why: str


UNKNOWN: Final = QuirkProfile(
    name="unknown", agents=("",), why="Nothing is known: the plain contract, links, no holding."
)

PROFILES: Final = (
    QuirkProfile(
        name="py1",
        agents=("replicate-python/",),
        data_urls=True,
        hold_seconds=20.0,  # its read timeout is 30 s
        tried=("1.",),
        why="run() wraps strings that begin https: or data: and leaves http: as text (contract 14, 15.1).",
    ),
    QuirkProfile(
        name="py2",
        # each client object has its own user agent: the module's functions, the client, the async client
        agents=("_ModuleClient/Python", "Replicate/Python", "AsyncReplicate/Python"),
        data_urls=True,
        hold_seconds=20.0,  # 60 s in all, then it asks again
        tried=("2.",),
        why="run() as py1; use() sends no Prefer and fetches links of either scheme (contract 14, 15.2).",
    ),
    QuirkProfile(
        name="js",
        agents=("replicate-javascript/",),
        data_urls=True,
        hold_seconds=20.0,
        tried=("1.",),
        why="run() makes FileOutput of https: and data: only (contract 14, 15.3).",
    ),
    QuirkProfile(
        name="go",
        agents=("replicate-go/",),
        hold_seconds=20.0,
        poll_seconds=1.0,
        why="Takes links of either scheme; polls each second (contract 15.4).",
    ),
    QuirkProfile(
        name="cli",
        agents=("replicate-cli/",),
        poll_seconds=1.0,
        why="Prints what it gets; long data: URLs would flood the terminal (contract 15.4).",
    ),
)


UNTRIED_HOLD_SECONDS: Final = 10.0


def hold_seconds(user_agent: str) -> float:
    """How long a poll of this client may be held; 0 for an unknown client. A setting may shorten it."""
    profile = profile_of(user_agent)
    agent = next((agent for agent in profile.agents if user_agent.startswith(agent)), "")
    is_tried = user_agent[len(agent) :].strip(" /").startswith(profile.tried)
    return profile.hold_seconds if is_tried else min(profile.hold_seconds, UNTRIED_HOLD_SECONDS)


def longest_hold(profile: QuirkProfile) -> float:
    """The value of `hold_seconds` for the measured versions."""
    return profile.hold_seconds if profile.tried else min(profile.hold_seconds, UNTRIED_HOLD_SECONDS)


def profile_of(user_agent: str) -> QuirkProfile:
    """The client's row; UNKNOWN for all others."""
    return next((profile for profile in PROFILES if user_agent.startswith(profile.agents)), UNKNOWN)
