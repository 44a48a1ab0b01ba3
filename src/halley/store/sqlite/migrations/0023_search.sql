-- What failed, and what never ran because its time was over: lists show both as failures. They are few, so a search for
-- them reads few rows; nothing is written for others.
CREATE INDEX predictions_failed ON predictions (account_id, id) WHERE status IN ('failed', 'aborted');

-- Words of the caller on a prediction; most have none.
CREATE TABLE tags (
    account_id TEXT NOT NULL,
    tag TEXT NOT NULL,
    prediction_id TEXT NOT NULL,
    place INTEGER NOT NULL, -- in the order in which they were given
    PRIMARY KEY (account_id, tag, prediction_id)
) WITHOUT ROWID;
CREATE INDEX tags_of_prediction ON tags (prediction_id);
