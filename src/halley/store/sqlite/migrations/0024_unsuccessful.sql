-- What failed, and what never ran because its time was over: lists show both as failures.
DROP INDEX predictions_failed;
CREATE INDEX predictions_failed ON predictions (account_id, id) WHERE status IN ('failed', 'aborted');
