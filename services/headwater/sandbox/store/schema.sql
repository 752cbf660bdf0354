-- Everything the fleet remembers. One file, one writer; account_key isolates the accounts.

CREATE TABLE IF NOT EXISTS account (
    account_key INTEGER PRIMARY KEY,
    vendor TEXT NOT NULL,
    name TEXT NOT NULL,
    options TEXT NOT NULL,
    next_number INTEGER NOT NULL DEFAULT 1 CHECK (next_number > 0),
    next_call INTEGER NOT NULL DEFAULT 1 CHECK (next_call > 0),
    UNIQUE (vendor, name)
);

CREATE TABLE IF NOT EXISTS record (
    position INTEGER PRIMARY KEY,
    account_key INTEGER NOT NULL,
    object TEXT NOT NULL,
    record_id TEXT NOT NULL,
    fields BLOB NOT NULL,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    archived INTEGER NOT NULL DEFAULT 0 CHECK (archived IN (0, 1)),
    UNIQUE (account_key, object, record_id)
);

-- Records in the order in which they changed last, by the second: what a vendor's stamps tell.
CREATE INDEX IF NOT EXISTS record_by_change ON record (account_key, object, updated_ms / 1000, record_id);

-- Values by which a record can be found: unique properties, external ids, look-up fields (folded to lower case).
CREATE TABLE IF NOT EXISTS lookup (
    account_key INTEGER NOT NULL,
    object TEXT NOT NULL,
    field TEXT NOT NULL,
    folded TEXT NOT NULL,
    record_id TEXT NOT NULL,
    PRIMARY KEY (account_key, object, field, folded, record_id)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS association (
    account_key INTEGER NOT NULL,
    from_object TEXT NOT NULL,
    from_id TEXT NOT NULL,
    to_object TEXT NOT NULL,
    to_id TEXT NOT NULL,
    type_id INTEGER NOT NULL,
    category TEXT NOT NULL,
    PRIMARY KEY (account_key, from_object, from_id, to_object, to_id, type_id)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS property (
    account_key INTEGER NOT NULL,
    object TEXT NOT NULL,
    name TEXT NOT NULL,
    definition TEXT NOT NULL,
    PRIMARY KEY (account_key, object, name)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS token (
    token TEXT PRIMARY KEY,
    account_key INTEGER NOT NULL,
    expire_ms INTEGER NOT NULL
) WITHOUT ROWID;

-- Authorization codes and refresh tokens; detail is JSON, and a used one is remembered.
CREATE TABLE IF NOT EXISTS oauth_grant (
    token TEXT NOT NULL,
    account_key INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('code', 'refresh')),
    detail TEXT NOT NULL,
    expire_ms INTEGER NOT NULL,
    used INTEGER NOT NULL DEFAULT 0 CHECK (used IN (0, 1)),
    PRIMARY KEY (account_key, token)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS query_cursor (
    position INTEGER PRIMARY KEY,
    cursor_id TEXT NOT NULL UNIQUE,
    account_key INTEGER NOT NULL,
    soql TEXT NOT NULL,
    record_ids TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS fault (
    account_key INTEGER NOT NULL,
    position INTEGER NOT NULL,
    definition TEXT NOT NULL,
    draws INTEGER NOT NULL DEFAULT 0,
    fired INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account_key, position)
) WITHOUT ROWID;

-- Jobs of bulk interfaces: one upload each, worked off in slices beside the calls.
CREATE TABLE IF NOT EXISTS bulk_job (
    position INTEGER PRIMARY KEY,
    account_key INTEGER NOT NULL,
    job_id TEXT NOT NULL,
    definition TEXT NOT NULL,
    state TEXT NOT NULL,
    content BLOB,
    done INTEGER NOT NULL DEFAULT 0 CHECK (done >= 0),
    failed INTEGER NOT NULL DEFAULT 0 CHECK (failed >= 0),
    message TEXT NOT NULL DEFAULT '',
    created_ms INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL,
    call_number INTEGER NOT NULL,
    UNIQUE (account_key, job_id)
);

CREATE TABLE IF NOT EXISTS bulk_row (
    account_key INTEGER NOT NULL,
    job_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    record_id TEXT NOT NULL,
    created INTEGER NOT NULL CHECK (created IN (0, 1)),
    error TEXT NOT NULL,
    PRIMARY KEY (account_key, job_id, number)
) WITHOUT ROWID;

-- Every call that reached an account, in order of arrival.
CREATE TABLE IF NOT EXISTS call (
    account_key INTEGER NOT NULL,
    number INTEGER NOT NULL,
    arrival_ms INTEGER NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    meter TEXT NOT NULL CHECK (meter IN ('general', 'search', 'none')),
    verdict TEXT NOT NULL CHECK (verdict IN ('admitted', 'limited', 'unauthorized', 'token')),
    fault TEXT NOT NULL DEFAULT '',
    cost INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (account_key, number)
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS call_arrival ON call (account_key, arrival_ms);

-- Every record write that reached an account, written in the transaction of the write itself.
CREATE TABLE IF NOT EXISTS arrival (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    account_key INTEGER NOT NULL,
    arrival_ms INTEGER NOT NULL,
    object TEXT NOT NULL,
    operation TEXT NOT NULL,
    external_id TEXT,
    record_id TEXT,
    effect TEXT NOT NULL CHECK (effect IN ('created', 'updated', 'unchanged', 'deleted', 'refused')),
    changes BLOB NOT NULL,
    reason TEXT,
    request_id TEXT NOT NULL,
    traceparent TEXT,
    call_number INTEGER NOT NULL
);

CREATE INDEX IF NOT EXISTS arrival_account ON arrival (account_key, sequence);

CREATE TRIGGER IF NOT EXISTS arrival_is_append_only BEFORE UPDATE ON arrival
BEGIN
    SELECT RAISE(ABORT, 'the arrival log is append-only');
END;
