-- Requests of keys that have a rate. The SQLite migration of the same number makes the same table.

-- Without a log, so that counting a request waits for no disk: after a crash of the database, and at a replica that takes over,
-- every key starts anew.
CREATE UNLOGGED TABLE key_requests (
    key_id  TEXT   NOT NULL PRIMARY KEY,
    -- When as many requests may come at once as in a minute, if none comes before: ns since 1970.
    full_at BIGINT NOT NULL,
    -- What was given to those who asked last.
    granted BIGINT NOT NULL
) WITH (fillfactor = 50);
