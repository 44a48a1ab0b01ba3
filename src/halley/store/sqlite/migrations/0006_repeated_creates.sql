-- How many creates of clients that repeat by themselves were answered with a prediction. A table of its own, because few
-- have any, and because a column behind the large ones of `predictions` could only be read through all of them.

CREATE TABLE repeated_creates (
    prediction_id TEXT NOT NULL PRIMARY KEY,
    count INTEGER NOT NULL
) WITHOUT ROWID;
