-- Actions on many predictions, and the set of each, fixed when it is made.
CREATE TABLE bulk_actions (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    filter BLOB, -- JSON object of texts; NULL if the predictions were named one by one
    created_at INTEGER NOT NULL,
    total INTEGER NOT NULL,
    state TEXT NOT NULL,
    ended_at INTEGER,
    reason TEXT,
    waiting TEXT,
    link_base TEXT,
    once TEXT, -- one action for each of an account
    most INTEGER, -- the newest so many of those that fitted were asked for
    done INTEGER NOT NULL DEFAULT 0,
    skipped INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    begun INTEGER NOT NULL DEFAULT 0, -- items at lower positions have been begun
    holder TEXT, -- the process that carries it out, until
    lease_until INTEGER
) WITHOUT ROWID;
CREATE INDEX bulk_actions_of_account ON bulk_actions (account_id, id);
CREATE UNIQUE INDEX bulk_actions_once ON bulk_actions (account_id, once) WHERE once IS NOT NULL;
CREATE INDEX bulk_actions_running ON bulk_actions (id) WHERE state = 'running';
CREATE INDEX bulk_actions_ended ON bulk_actions (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE bulk_items (
    action_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    prediction_id TEXT NOT NULL,
    outcome TEXT, -- NULL while it has none
    reason TEXT,
    rerun_id TEXT,
    PRIMARY KEY (action_id, position)
) WITHOUT ROWID;
CREATE INDEX bulk_items_open ON bulk_items (action_id, position) WHERE outcome IS NULL;
