-- Which prediction continues one whose outcome at a service elsewhere was unknown: at most one does.
CREATE TABLE settlements (
    prediction_id TEXT NOT NULL PRIMARY KEY,
    linked_id TEXT NOT NULL UNIQUE,
    how TEXT NOT NULL,
    at INTEGER NOT NULL
) WITHOUT ROWID;
