"""The shapes that go over the wire, member by member, a module a subject.

UNSET members are left out. Values that are only passed on stay bytes (`msgspec.Raw`).
"""
