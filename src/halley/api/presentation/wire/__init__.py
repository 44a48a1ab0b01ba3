"""The shapes that go over the wire, member by member, a module a subject.

UNSET members are left out. What only passes through stays bytes (`msgspec.Raw`).
"""
