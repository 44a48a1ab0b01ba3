"""Requests that wait: a create with `Prefer: wait`, a held GET, a client that polls, a stream. How waiting works:

1. A request that waits is one `Hold` in the `Hub`: what it waits for, until when, and how it is answered. No task.
2. It enters the hub first and reads the store afterwards, so no change is missed between the two.
3. The bus gives hints to the hub. Hints may be lost, so every 2 s the `ChangePoller` asks the store what has changed.
4. A change leads to one read of the row for all holds on that prediction. Holds that are ready are answered.
5. `conditions` says when a hold is ready: at the end, at any change, or at an urgent change (status, output) while logs
   and progress are coalesced. A stream is woken by every change and reads the events itself.
6. Every hold has one timer, for the end of its time. Before it is answered so, the store is read once more.
7. The task of a create ends when its write is submitted. An end in this process answers it at once, without a read. So
   far it is a brief wait: an entry in the hub, without a hold. It becomes a hold at any other change, before keys are
   checked, and if it has waited for half a second.
8. A hold ends early when its client is gone, its key is revoked, or the server stops.
9. The hub counts who waits for predictions that are canceled when abandoned (`predictions.abandonment`).
10. `last_seen` has what a polling client saw last: its next poll is held until something changes.
"""
