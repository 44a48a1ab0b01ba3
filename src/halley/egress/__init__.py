"""Outbound HTTP: every request to an address that a user can influence goes through this package."""

from halley.egress.addresses import AddressRules, Allowed, parse_allowed, rules_from
from halley.egress.client import Egress, EgressResponse
from halley.egress.origin import OpenAnswer, OriginClient, origin_of

__all__ = [
    "AddressRules",
    "Allowed",
    "Egress",
    "EgressResponse",
    "OpenAnswer",
    "OriginClient",
    "origin_of",
    "parse_allowed",
    "rules_from",
]
