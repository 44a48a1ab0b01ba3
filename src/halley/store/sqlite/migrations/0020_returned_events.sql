-- The last three events of a run that only returns are one row from now on, of the kind 'returned': see event_rows.py.
ALTER TABLE events ADD COLUMN started_at INTEGER; -- of such a row: when the run started
