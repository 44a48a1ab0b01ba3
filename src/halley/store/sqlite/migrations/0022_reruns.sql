-- Which prediction runs another one again. A table of its own, because few predictions have a row here, and the others
-- must not pay for it.
CREATE TABLE reruns (
    prediction_id TEXT NOT NULL PRIMARY KEY, -- the new one
    of_id TEXT NOT NULL,
    at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX reruns_of ON reruns (of_id, prediction_id);
