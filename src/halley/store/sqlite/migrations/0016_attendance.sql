-- Who waits is known at one API server only, so each has rows of its own, and a lease: when it is over, or where there is
-- none as with the rows of before, another server takes them over. The table `awaited` is not used any more.
CREATE TABLE attending_nodes (
    id TEXT NOT NULL PRIMARY KEY,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE attendance (
    prediction_id TEXT NOT NULL,
    node_id TEXT NOT NULL,
    PRIMARY KEY (prediction_id, node_id)
) WITHOUT ROWID;

INSERT INTO attendance (prediction_id, node_id) SELECT prediction_id, '' FROM awaited;
