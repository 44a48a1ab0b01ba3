-- Predictions that are canceled when everybody who waits for them has left (the flag 2 in their `created_with_wait`), and that
-- somebody waits for now: a server that ends leaves them here, and the next one begins their grace.
CREATE TABLE awaited (
    prediction_id TEXT NOT NULL PRIMARY KEY
) WITHOUT ROWID;
