-- API keys, and what of their daily quota is used. The SQLite migration of the same number makes the same tables.

CREATE TABLE api_keys (
    -- Public; the owner of jobs.
    id                TEXT    NOT NULL PRIMARY KEY,
    -- For people.
    name              TEXT    NOT NULL,
    -- SHA-256 of the secret, in base64. The secret is nowhere.
    digest            TEXT    NOT NULL,
    -- Names, separated by spaces.
    scopes            TEXT    NOT NULL,
    -- Requests a minute; null, here as in what follows: no bound.
    rate              BIGINT,
    -- Jobs waiting or running at once.
    concurrency       BIGINT,
    -- Pictures of one day.
    daily_pictures    BIGINT,
    max_priority      TEXT    NOT NULL CHECK (max_priority IN ('high', 'normal', 'low')),
    -- The name of the policy that its prompts are judged by.
    moderation_policy TEXT,
    created_at        BIGINT  NOT NULL,
    expires_at        BIGINT,
    -- Roughly.
    last_used_at      BIGINT,
    revoked_at        BIGINT
);

-- Pictures that keys with a quota were charged for.
CREATE TABLE key_usage (
    key_id   TEXT    NOT NULL,
    -- Days since 1970, UTC.
    day      BIGINT  NOT NULL,
    pictures BIGINT  NOT NULL,
    PRIMARY KEY (key_id, day)
);

-- Pictures that the job's owner was charged for, on the day that it was created; given back where it makes none.
ALTER TABLE jobs ADD COLUMN charged BIGINT NOT NULL DEFAULT 0;
