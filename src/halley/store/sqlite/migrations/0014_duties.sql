-- What one process at a time may do: who does it, until when, and the fence that each new holder raises.
CREATE TABLE duties (
    name TEXT NOT NULL PRIMARY KEY,
    session_id TEXT, -- NULL: released
    fence INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
