-- Alerts, the incidents that they are put together in, and what happened to these. Times are seconds since the epoch.
-- `content` is what the engine knows besides the columns that are searched.

CREATE TABLE alerts (
    id VARCHAR NOT NULL,
    identity VARCHAR NOT NULL,
    incident VARCHAR NOT NULL,
    watcher VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    rule VARCHAR NOT NULL,
    service VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    severity VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    since DOUBLE NOT NULL,
    until DOUBLE,
    content VARCHAR NOT NULL -- JSON
);

CREATE TABLE incidents (
    id VARCHAR NOT NULL,
    severity VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    title VARCHAR NOT NULL,
    services VARCHAR[] NOT NULL,
    since DOUBLE NOT NULL,
    until DOUBLE, -- when the last of its alerts was over
    closed BOOLEAN NOT NULL, -- whether none of them can come back
    content VARCHAR NOT NULL -- JSON
);

CREATE TABLE incident_entries (
    incident VARCHAR NOT NULL,
    number INTEGER NOT NULL,
    time DOUBLE NOT NULL,
    alert VARCHAR NOT NULL,
    what VARCHAR NOT NULL,
    text VARCHAR NOT NULL,
    role VARCHAR NOT NULL,
    note VARCHAR NOT NULL
);

-- What people are to be told, until it has been handed on.
CREATE TABLE alert_events (
    id VARCHAR NOT NULL,
    time DOUBLE NOT NULL,
    content VARCHAR NOT NULL -- JSON
);

-- The earliest minute that was stored since the last look at what is wrong, one row; seconds since the epoch.
CREATE TABLE alert_progress AS SELECT 0::BIGINT AS earliest;
