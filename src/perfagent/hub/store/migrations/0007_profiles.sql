-- Where programs spend their time, as samplers of stacks tell it. Stacks are a tree: a node is a function below another
-- node, so that a flame graph is a sum over nodes. Identities are hashes, as everywhere.

CREATE TABLE frames (
    id BIGINT PRIMARY KEY,
    function VARCHAR NOT NULL,
    file VARCHAR NOT NULL,
    line INTEGER NOT NULL, -- where the function begins, 0 where unknown
    first_seen BIGINT NOT NULL
);

CREATE TABLE stack_nodes (
    id BIGINT PRIMARY KEY,
    parent BIGINT NOT NULL, -- 0 for the first of a stack
    frame BIGINT NOT NULL,
    depth INTEGER NOT NULL, -- 0 for the first of a stack
    first_seen BIGINT NOT NULL
);

CREATE TABLE stacks (
    id BIGINT PRIMARY KEY,
    nodes BIGINT[] NOT NULL, -- from the first call to the one that ran
    frames BIGINT[] NOT NULL, -- of these nodes
    lines INTEGER[] NOT NULL, -- that each of them was at
    first_seen BIGINT NOT NULL
);

-- What samples are grouped by.
CREATE TABLE profile_contexts (
    id BIGINT PRIMARY KEY,
    kind VARCHAR NOT NULL, -- wall, cpu, lock, gil, alloc …
    unit VARCHAR NOT NULL, -- nanoseconds, bytes, count
    endpoint VARCHAR NOT NULL, -- the request, job or message that it was for; "" for none
    thread VARCHAR NOT NULL,
    task VARCHAR NOT NULL,
    state VARCHAR NOT NULL, -- running, waiting, lock …
    first_seen BIGINT NOT NULL
);

CREATE TABLE profile_samples (
    time BIGINT NOT NULL, -- begin of the window that it was collected in
    duration BIGINT NOT NULL, -- of the window
    resource BIGINT NOT NULL,
    context BIGINT NOT NULL,
    stack BIGINT NOT NULL,
    trace_id BLOB,
    span_id BLOB,
    value BIGINT NOT NULL,
    samples BIGINT NOT NULL,
    times BIGINT[] -- of its samples, where they were told
);

CREATE TABLE profile_minutes (
    minute BIGINT NOT NULL,
    resource BIGINT NOT NULL,
    context BIGINT NOT NULL,
    stack BIGINT NOT NULL,
    value BIGINT NOT NULL,
    samples BIGINT NOT NULL
);

CREATE TABLE profile_hours AS SELECT minute AS hour, * EXCLUDE (minute) FROM profile_minutes;
