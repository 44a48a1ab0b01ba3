-- Until now models wrote into their own folders, and the digest of a version may count what they wrote.
ALTER TABLE versions ADD COLUMN counts_written INTEGER NOT NULL DEFAULT 0;
UPDATE versions SET counts_written = 1;
