-- 1 if its process ended once with others inside: it runs again with nothing beside it.
ALTER TABLE queue ADD COLUMN alone INTEGER NOT NULL DEFAULT 0;
