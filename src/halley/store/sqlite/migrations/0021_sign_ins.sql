-- Browsers that act with a key. The digest is that of their cookie.
CREATE TABLE sign_ins (
    digest BLOB NOT NULL PRIMARY KEY,
    key_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX sign_ins_of_key ON sign_ins (key_id);
