-- Failed predictions of an account, newest last: few, so a search for them reads few rows. Only what fails is written.
CREATE INDEX predictions_failed ON predictions (account_id, id) WHERE status = 'failed';

-- Words of the caller on a prediction; most have none.
CREATE TABLE tags (
    account_id TEXT NOT NULL,
    tag TEXT NOT NULL,
    prediction_id TEXT NOT NULL,
    place INTEGER NOT NULL, -- in the order in which they were given
    PRIMARY KEY (account_id, tag, prediction_id)
) WITHOUT ROWID;
CREATE INDEX tags_of_prediction ON tags (prediction_id);
