-- Instants are whole microseconds since 1970 (clock.to_micros); money is whole micro-units. JSON is kept as bytes.
-- Rules between rows that change with every prediction are kept by the one writer, not by foreign keys: each would cost
-- a look-up for every row. Rows that change rarely have theirs.

CREATE TABLE accounts (
    id TEXT NOT NULL PRIMARY KEY,
    username TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    name TEXT NOT NULL,
    weight INTEGER NOT NULL CHECK (weight >= 1),
    created_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE keys (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    name TEXT NOT NULL,
    digest BLOB NOT NULL UNIQUE, -- HMAC of the token; the token itself is nowhere
    hint TEXT NOT NULL,
    scopes TEXT NOT NULL, -- words, sorted, with a space between
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) WITHOUT ROWID;

CREATE TABLE models (
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    visibility TEXT NOT NULL,
    is_official INTEGER NOT NULL,
    github_url TEXT,
    paper_url TEXT,
    license_url TEXT,
    cover_image_url TEXT,
    default_example_id TEXT,
    latest_version_id TEXT,
    run_count INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    latest_version_at INTEGER,
    PRIMARY KEY (owner, name)
) WITHOUT ROWID;

CREATE TABLE versions (
    id TEXT NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    cog_version TEXT NOT NULL,
    openapi_schema BLOB NOT NULL,
    source_digest TEXT NOT NULL,
    provider TEXT NOT NULL,
    run_timeout_seconds REAL,
    FOREIGN KEY (owner, name) REFERENCES models (owner, name)
);
CREATE INDEX versions_of_model ON versions (owner, name, created_at);

CREATE TABLE predictions (
    number INTEGER PRIMARY KEY, -- ours only: the row is found again without its text key
    id TEXT NOT NULL UNIQUE,
    account_id TEXT NOT NULL,
    key_id TEXT,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    revision INTEGER NOT NULL,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    deployment TEXT,
    source TEXT NOT NULL,
    priority INTEGER NOT NULL,
    provider TEXT NOT NULL,
    handle TEXT,
    submit_state TEXT,
    attempts INTEGER NOT NULL, -- of the queue entry, as of the last event
    fence INTEGER NOT NULL, -- likewise
    created_with_wait INTEGER NOT NULL,
    webhook TEXT,
    webhook_events_filter BLOB, -- JSON list
    termination_reason TEXT,
    cost_micros INTEGER,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    completed_at INTEGER,
    deadline_at INTEGER,
    cancel_requested_at INTEGER,
    data_removed_at INTEGER,
    last_seq INTEGER NOT NULL, -- seq of the newest event
    has_progress INTEGER NOT NULL, -- 1 if the events hold logs, output or metrics: else nobody needs to read them
    error TEXT,
    metrics BLOB, -- JSON object; NULL if empty
    files BLOB, -- JSON list of the files in `output`; NULL if none
    input BLOB NOT NULL,
    output BLOB,
    logs TEXT NOT NULL DEFAULT ''
);
CREATE INDEX predictions_of_account ON predictions (account_id, id);
CREATE INDEX predictions_by_deadline ON predictions (deadline_at)
    WHERE deadline_at IS NOT NULL AND completed_at IS NULL;

-- Who waits and who runs: one row from create until the holder of the lease is done, also after a cancel.
-- A table of its own rather than columns and partial indexes of `predictions`, because claims and releases then rewrite
-- a row of some 150 bytes instead of one with input and output, and because secrets go with it.
CREATE TABLE queue (
    prediction_id TEXT NOT NULL PRIMARY KEY,
    version TEXT NOT NULL,
    account_id TEXT NOT NULL,
    priority INTEGER NOT NULL,
    session_id TEXT, -- the holder; NULL while it waits
    fence INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    ready_at INTEGER NOT NULL, -- backoff: not given out before
    deadline_at INTEGER,
    is_ended INTEGER NOT NULL DEFAULT 0, -- 1 if it became terminal while leased
    work_input BLOB -- the real input where it differs from the shown one
) WITHOUT ROWID;
CREATE INDEX queue_waiting ON queue (version, account_id, priority DESC, prediction_id) WHERE session_id IS NULL;
CREATE INDEX queue_ended ON queue (session_id) WHERE is_ended;

CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;

-- `offset` is given by the one writer inside the transaction that commits the event, so it is ordered by commit.
CREATE TABLE events (
    offset INTEGER PRIMARY KEY,
    prediction_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    kind TEXT NOT NULL,
    at INTEGER NOT NULL,
    data BLOB NOT NULL
);
CREATE UNIQUE INDEX events_of_prediction ON events (prediction_id, seq);

-- The outbox is this table: readers of `events` (webhooks, usage) remember how far they came. A table of outgoing
-- messages would cost a row and a delete for every terminal status, and hold nothing that the events do not hold already.
CREATE TABLE cursors (
    name TEXT NOT NULL PRIMARY KEY,
    offset INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE idempotency (
    account_id TEXT NOT NULL,
    key TEXT NOT NULL,
    request_digest BLOB NOT NULL,
    prediction_id TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_by_expiry ON idempotency (expires_at);

CREATE TABLE blobs (
    sha256 TEXT NOT NULL PRIMARY KEY,
    size_bytes INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE blob_references (
    owner_kind TEXT NOT NULL,
    owner_id TEXT NOT NULL,
    sha256 TEXT NOT NULL REFERENCES blobs (sha256),
    name TEXT NOT NULL,
    PRIMARY KEY (owner_kind, owner_id, sha256, name)
) WITHOUT ROWID;
CREATE INDEX blob_references_by_blob ON blob_references (sha256);

CREATE TABLE files (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL,
    name TEXT NOT NULL,
    content_type TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    metadata BLOB, -- JSON object; NULL if empty
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
);
CREATE INDEX files_of_account ON files (account_id, id);
CREATE INDEX files_by_expiry ON files (expires_at);
