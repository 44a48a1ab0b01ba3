ALTER TABLE models ADD COLUMN retention TEXT; -- a period as text; NULL: as the server says

-- What still has its data, by everything that decides how long, the oldest of each group first. What is kept for ever
-- makes groups of its own, and is never walked through.
CREATE INDEX predictions_with_data ON predictions (source, model, ifnull(key_id, ''), completed_at)
    WHERE data_removed_at IS NULL AND completed_at IS NOT NULL;

-- What lost its data but not yet its events: has_progress stays 1 until they are gone, too.
CREATE INDEX predictions_half_removed ON predictions (number) WHERE data_removed_at IS NOT NULL AND has_progress = 1;
