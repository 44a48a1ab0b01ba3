-- What is written and deleted again to find out whether the store takes writes. Empty but for that moment.
CREATE TABLE probe (
    id INTEGER PRIMARY KEY,
    data BLOB NOT NULL
);
