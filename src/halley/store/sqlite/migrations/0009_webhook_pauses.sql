-- When the pause before the next attempt began: a clock that was set back while no server ran shows in it.
ALTER TABLE webhook_messages ADD COLUMN waits_since INTEGER; -- counts while next_at is set
UPDATE webhook_messages SET waits_since = coalesce(
    (SELECT max(d.started_at) FROM webhook_deliveries AS d
        WHERE d.prediction_id = webhook_messages.prediction_id AND d.message_id = webhook_messages.id),
    created_at
) WHERE next_at IS NOT NULL;
CREATE INDEX webhook_messages_waiting ON webhook_messages (waits_since) WHERE next_at IS NOT NULL;
