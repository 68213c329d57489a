-- Which jobs go after those of other owners. The SQLite migration of the same number makes the same column.

-- Whether jobs of its priority from other owners go first: its owner had a lot in a fleet's queue when it came.
ALTER TABLE jobs ADD COLUMN yields BOOLEAN NOT NULL DEFAULT FALSE;
