-- Where a prediction was submitted to: stands for the address and the token that its provider had then. Another one may be
-- another service or account, which knows nothing of the run.
ALTER TABLE submits ADD COLUMN place TEXT NOT NULL DEFAULT '';
