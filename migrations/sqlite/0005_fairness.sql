-- Which jobs go after those of other owners. The PostgreSQL migration of the same number makes the same column.

-- Whether jobs of its priority from other owners go first: its owner had a lot in a fleet's queue when it came.
ALTER TABLE jobs ADD COLUMN yields INTEGER NOT NULL DEFAULT 0 CHECK (yields IN (0, 1));
