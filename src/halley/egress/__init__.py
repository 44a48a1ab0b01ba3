"""The only door out: every request to an address that a user can influence goes through here."""
