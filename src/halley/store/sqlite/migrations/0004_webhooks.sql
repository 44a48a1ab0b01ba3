-- Facts that a receiver may want to hear of. The index holds these alone: predictions without webhook pay for a zero.
ALTER TABLE events ADD COLUMN for_webhook INTEGER NOT NULL DEFAULT 0;
CREATE INDEX events_for_webhooks ON events (for_webhook) WHERE for_webhook = 1;

-- What links to us begin with, for predictions with a webhook whose end is not told yet.
CREATE TABLE webhook_link_bases (
    prediction_id TEXT NOT NULL PRIMARY KEY,
    link_base TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE webhook_messages (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE, -- the header webhook-id
    account_id TEXT NOT NULL,
    prediction_id TEXT NOT NULL,
    event TEXT NOT NULL,
    url TEXT NOT NULL,
    endpoint TEXT NOT NULL, -- host:port
    created_at INTEGER NOT NULL,
    state TEXT NOT NULL,
    failures INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    next_at INTEGER, -- NULL: nothing is pending
    body BLOB -- NULL once the data of the prediction is removed
);
CREATE INDEX webhook_messages_due ON webhook_messages (endpoint, next_at) WHERE next_at IS NOT NULL;
CREATE INDEX webhook_messages_settled ON webhook_messages (created_at) WHERE next_at IS NULL;
CREATE INDEX webhook_messages_of_prediction ON webhook_messages (prediction_id);

-- The delivery log: one row for each attempt, written before it is made.
CREATE TABLE webhook_deliveries (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL,
    prediction_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    event TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    url TEXT NOT NULL,
    headers BLOB NOT NULL, -- JSON object
    body_sha256 TEXT NOT NULL,
    body_bytes INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    outcome TEXT, -- NULL while it is under way
    latency_seconds REAL,
    status INTEGER,
    answer BLOB NOT NULL DEFAULT x'',
    error TEXT,
    next_at INTEGER
) WITHOUT ROWID;
CREATE INDEX webhook_deliveries_of_account ON webhook_deliveries (account_id, id);
CREATE INDEX webhook_deliveries_of_prediction ON webhook_deliveries (prediction_id, id);
CREATE INDEX webhook_deliveries_under_way ON webhook_deliveries (outcome) WHERE outcome IS NULL;

-- Signing secrets that were replaced: a number each, the secrets are made from key material that is not here.
CREATE TABLE webhook_secrets (
    account_id TEXT NOT NULL,
    generation INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, generation)
) WITHOUT ROWID;
