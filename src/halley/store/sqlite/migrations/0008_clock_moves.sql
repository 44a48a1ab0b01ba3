-- When the wall clock was set while a server ran: what was written before shows another time than what was written since.
CREATE TABLE clock_moves (
    number INTEGER PRIMARY KEY,
    at INTEGER NOT NULL, -- what it showed then
    by INTEGER NOT NULL, -- microseconds
    since_id TEXT NOT NULL -- made shortly before
);
