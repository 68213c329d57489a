-- Who is to blame for a death, what is kept for whom, and whom a delivery is for. The PostgreSQL migration of the same number
-- makes the same columns.

-- JSON: how far the job was when a worker died that executed it, and how often. Null: nothing speaks against it.
ALTER TABLE jobs ADD COLUMN suspicion TEXT;
-- Bytes of the request's text. 0: not known.
ALTER TABLE jobs ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;

-- The host that is told, and whose job it is about: one receiver must not hold up the others.
ALTER TABLE deliveries ADD COLUMN host TEXT NOT NULL DEFAULT '';
ALTER TABLE deliveries ADD COLUMN owner TEXT NOT NULL DEFAULT '';

-- Whether the jobs of a key outlive its revocation.
ALTER TABLE api_keys ADD COLUMN keep_jobs INTEGER NOT NULL DEFAULT 0 CHECK (keep_jobs IN (0, 1));
