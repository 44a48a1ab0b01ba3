"""Requests that wait: a create with `Prefer: wait`, a held GET, a client that polls, a stream. How waiting works:

1. A request that waits is one `Hold` in the `Hub`: what it waits for, until when, and how it is answered. No task.
   and progress are coalesced. A stream is woken by every change and reads the events itself.
6. Every hold has one timer, for the end of its time. Before it is answered, the store is read once more.
7. A create stays in its own task for the first second, because most are over by then; then the same hold is parked.
8. A hold ends early when its client is gone, its key is revoked, or the server stops.
9. The hub counts who waits for predictions that are canceled when abandoned (`predictions.abandonment`).
10. `last_seen` has what a polling client saw last: its next poll is held until something changes.
"""
