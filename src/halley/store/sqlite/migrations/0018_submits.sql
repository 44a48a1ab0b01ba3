-- When predictions were submitted elsewhere, for the number that a service may get in 24 hours. A table of its own, which
-- loses nothing when predictions are removed; rows older than that go with the next submit to the same provider.
CREATE TABLE submits (
    prediction_id TEXT NOT NULL PRIMARY KEY,
    provider TEXT NOT NULL,
    at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX submits_by_time ON submits (provider, at);
