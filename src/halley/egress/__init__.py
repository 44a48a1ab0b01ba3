"""The only door out: every request to an address that a user can influence goes through here."""

from halley.egress.addresses import Allowed, Rules, parse_allowed, rules_from
from halley.egress.client import Answer, Egress

__all__ = ["Allowed", "Answer", "Egress", "Rules", "parse_allowed", "rules_from"]
