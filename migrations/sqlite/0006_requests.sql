-- Requests of keys that have a rate. The PostgreSQL migration of the same number makes the same table.

-- It stays empty here: this database belongs to one process, which counts in its memory.
CREATE TABLE key_requests (
    key_id  TEXT    NOT NULL PRIMARY KEY,
    -- When as many requests may come at once as in a minute, if none comes before: ns since 1970.
    full_at INTEGER NOT NULL,
    -- What was given to those who asked last.
    granted INTEGER NOT NULL
);
