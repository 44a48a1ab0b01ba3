-- The admin key of the configuration is known as such, so that another one can take its place.
ALTER TABLE keys ADD COLUMN is_configured INTEGER NOT NULL DEFAULT 0;
UPDATE keys SET is_configured = 1 WHERE name = 'admin key from the configuration';
