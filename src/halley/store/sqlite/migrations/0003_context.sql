-- What the model finds as its context: with the work, so that it goes with the queue entry, as secrets do.
ALTER TABLE queue ADD COLUMN context BLOB; -- JSON object of strings; NULL if the request carried none
