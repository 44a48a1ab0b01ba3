-- Which versions a holder of leases can run: what nobody offers, and no configuration names, can run nowhere.
ALTER TABLE sessions ADD COLUMN offers BLOB NOT NULL DEFAULT '[]'; -- JSON list of version ids
