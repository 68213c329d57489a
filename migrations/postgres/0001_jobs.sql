-- Jobs and the outbox. The SQLite migration of the same number makes the same tables.
--
-- Times are ms since 1970; ids are UUIDs (version 7) in hyphenated lower case, so their order as text is the order of
-- acceptance. What is only ever read whole is JSON.

CREATE TABLE jobs (
    id               TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    -- Whose it is; empty where keys are off.
    owner            TEXT    NOT NULL,
    state            TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'canceled')),
    mode             TEXT    NOT NULL,
    model            TEXT    NOT NULL,
    -- Whether it outlives the connection and the process that brought it.
    durable          BOOLEAN NOT NULL,
    -- 0 low, 1 normal, 2 high.
    priority         BIGINT  NOT NULL,
    -- Decoder steps of one pixel.
    cost             BIGINT  NOT NULL,
    -- JSON: the request, without pixels.
    spec             TEXT    NOT NULL,
    -- Counts the claims; only the newest one may end the job.
    epoch            BIGINT  NOT NULL,
    -- Who answers for it, and until when.
    worker           TEXT,
    lease_until      BIGINT,
    cancel_requested BOOLEAN NOT NULL,
    created_at       BIGINT  NOT NULL,
    started_at       BIGINT,
    finished_at      BIGINT,
    -- From then on its pictures may be removed; null until it has ended.
    expires_at       BIGINT,
    -- Whether its pictures are gone.
    purged           BOOLEAN NOT NULL,
    -- JSON: an array of picture descriptions.
    images           TEXT    NOT NULL,
    -- JSON.
    timings          TEXT,
    -- JSON: why it failed.
    failure          TEXT,
    -- The client's word for the request, and the digest of what it asked for.
    idempotency_key  TEXT,
    fingerprint      TEXT
);

-- One job a key. A key whose job was canceled is taken off it when the next job comes with it.
CREATE UNIQUE INDEX jobs_by_key ON jobs (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;
-- Listings, newest first.
CREATE INDEX jobs_by_owner ON jobs (owner, id);
CREATE INDEX jobs_by_owner_and_state ON jobs (owner, state, id);
-- The queue.
CREATE INDEX jobs_queued ON jobs (id) WHERE state = 'queued';
-- Heartbeats and lost leases.
CREATE INDEX jobs_leased ON jobs (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX jobs_by_worker ON jobs (worker) WHERE worker IS NOT NULL;
-- Purging and forgetting.
CREATE INDEX jobs_expiring ON jobs (purged, expires_at) WHERE expires_at IS NOT NULL;

-- Whom to tell. A row goes when its delivery was taken, or with its job.
CREATE TABLE deliveries (
    id         TEXT COLLATE "C"   NOT NULL PRIMARY KEY,
    job        TEXT COLLATE "C"   NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    url        TEXT    NOT NULL,
    payload    TEXT    NOT NULL,
    attempts   BIGINT  NOT NULL,
    created_at BIGINT  NOT NULL,
    -- When to try (again); moved on when an attempt begins, so that a lost one is made up for. Null: given up.
    due_at     BIGINT
);

CREATE INDEX deliveries_due ON deliveries (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX deliveries_by_job ON deliveries (job);
