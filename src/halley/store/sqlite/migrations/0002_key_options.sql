-- What differs from the defaults of halley.keys.records.KeyOptions.
ALTER TABLE keys ADD COLUMN options BLOB NOT NULL DEFAULT '{}'; -- JSON object
