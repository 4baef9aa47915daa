-- Times are nanoseconds since the epoch, durations nanoseconds, unless a name says otherwise.
-- Identities are 63-bit hashes made by the receiver, so that two hubs' exports can be put together.

CREATE TABLE resources (
    id BIGINT PRIMARY KEY,
    service VARCHAR NOT NULL,
    instance VARCHAR NOT NULL,
    version VARCHAR NOT NULL,
    environment VARCHAR NOT NULL,
    attributes VARCHAR NOT NULL,
    first_seen BIGINT NOT NULL
);

CREATE TABLE operations (
    id BIGINT PRIMARY KEY,
    service VARCHAR NOT NULL,
    category VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    system VARCHAR NOT NULL,
    text VARCHAR NOT NULL,
    first_seen BIGINT NOT NULL
);

CREATE TABLE spans (
    trace_id BLOB NOT NULL,
    span_id BLOB NOT NULL,
    parent_id BLOB,
    resource BIGINT NOT NULL,
    operation BIGINT NOT NULL,
    name VARCHAR NOT NULL,
    kind UTINYINT NOT NULL,
    started BIGINT NOT NULL,
    duration BIGINT NOT NULL,
    status UTINYINT NOT NULL,
    status_message VARCHAR,
    status_code USMALLINT NOT NULL,
    entry BOOLEAN NOT NULL,
    rows BIGINT NOT NULL,
    caller VARCHAR,
    weight FLOAT NOT NULL,
    attributes VARCHAR NOT NULL,
    events VARCHAR,
    links VARCHAR
);

CREATE TABLE logs (
    time BIGINT NOT NULL,
    resource BIGINT NOT NULL,
    scope VARCHAR NOT NULL,
    severity UTINYINT NOT NULL,
    severity_text VARCHAR NOT NULL,
    event VARCHAR,
    body VARCHAR NOT NULL,
    attributes VARCHAR NOT NULL,
    trace_id BLOB,
    span_id BLOB
);

CREATE TABLE series (
    id BIGINT PRIMARY KEY,
    resource BIGINT NOT NULL,
    service VARCHAR NOT NULL,
    scope VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    unit VARCHAR NOT NULL,
    description VARCHAR NOT NULL,
    cumulative BOOLEAN NOT NULL,
    monotonic BOOLEAN NOT NULL,
    attributes VARCHAR NOT NULL,
    bounds DOUBLE[],
    first_seen BIGINT NOT NULL
);

-- Points as differences: `delta`, `count`, `total` and `buckets` are those since the point before, whatever the sender's
-- temporality; `value` is what was sent (a gauge's reading, a sum's running total).
CREATE TABLE points (
    series BIGINT NOT NULL,
    time BIGINT NOT NULL,
    value DOUBLE,
    delta DOUBLE,
    count BIGINT,
    total DOUBLE,
    smallest DOUBLE,
    largest DOUBLE,
    buckets BIGINT[],
    first_bucket INTEGER,
    zeros BIGINT,
    exemplars VARCHAR
);

-- Roll-ups of spans, written in the transaction that stores the spans and merged in the background: several rows may
-- share a key until then, so every reader sums. `bucket` is the index of an exponential histogram at scale 3 of the
-- duration in nanoseconds (OpenTelemetry data model): bucket i holds (2^(i/8), 2^((i+1)/8)], 9 % wide.
CREATE TABLE span_minutes (
    minute BIGINT NOT NULL, -- seconds since the epoch, a multiple of 60
    operation BIGINT NOT NULL,
    status_code USMALLINT NOT NULL,
    bucket SMALLINT NOT NULL,
    calls DOUBLE NOT NULL, -- weighted: what was sampled counts for what was not
    errors DOUBLE NOT NULL,
    total DOUBLE NOT NULL, -- ns, weighted
    longest BIGINT NOT NULL,
    rows DOUBLE NOT NULL -- weighted; spans that do not tell count nothing
);

CREATE TABLE span_hours AS SELECT minute AS hour, * EXCLUDE (minute) FROM span_minutes;

CREATE TABLE point_minutes (
    minute BIGINT NOT NULL,
    series BIGINT NOT NULL,
    points BIGINT NOT NULL,
    value DOUBLE, -- mean of the readings
    last DOUBLE,
    delta DOUBLE,
    count BIGINT,
    total DOUBLE,
    smallest DOUBLE,
    largest DOUBLE,
    buckets BIGINT[],
    first_bucket INTEGER,
    zeros BIGINT
);

CREATE TABLE point_hours AS SELECT minute AS hour, * EXCLUDE (minute) FROM point_minutes;

CREATE TABLE log_minutes (
    minute BIGINT NOT NULL,
    resource BIGINT NOT NULL,
    severity UTINYINT NOT NULL,
    records BIGINT NOT NULL
);

-- The last cumulative point of each series as it was sent, so that differences go on after a restart. Rows are only
-- added; the upkeep takes the older ones of a series away.
CREATE TABLE running (
    series BIGINT NOT NULL,
    time BIGINT NOT NULL,
    start BIGINT NOT NULL,
    value DOUBLE,
    count BIGINT,
    total DOUBLE,
    buckets BIGINT[],
    first_bucket INTEGER,
    zeros BIGINT
);

-- How far the upkeep has come, one row: minutes before `minutes` are merged, hours before `hours` are rolled up; both
-- seconds since the epoch.
CREATE TABLE progress AS SELECT 0::BIGINT AS minutes, 0::BIGINT AS hours;

-- Who changed what, by the interface or the command line.
CREATE TABLE audit (
    time BIGINT NOT NULL,
    role VARCHAR NOT NULL,
    client VARCHAR NOT NULL,
    action VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    before VARCHAR, -- JSON
    after VARCHAR -- JSON
);

-- Small documents: thresholds that were changed, baselines, acknowledgements.
CREATE TABLE documents (
    name VARCHAR PRIMARY KEY,
    content VARCHAR NOT NULL, -- JSON
    changed BIGINT NOT NULL
);
