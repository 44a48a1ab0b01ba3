-- Finds predictions that were submitted elsewhere: by the handle of their run, and those whose outcome is not known. What
-- ran on this machine has neither, so nothing is added for it.
CREATE INDEX predictions_by_handle ON predictions (handle) WHERE handle IS NOT NULL;
CREATE INDEX predictions_by_submit_state ON predictions (submit_state, provider) WHERE submit_state IS NOT NULL;
