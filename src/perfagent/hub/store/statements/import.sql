-- Adds what an archive (the views archived_TABLE) holds and the store has not. What arrived is known by its identity and
-- rolled up here; roll-ups of the archive count only for minutes and hours whose spans, logs and points it has no more,
-- and where the store has none of the same key: so nothing counts twice, however often an archive is read.
INSERT OR IGNORE INTO resources BY NAME FROM archived_resources;

INSERT OR IGNORE INTO operations BY NAME FROM archived_operations;

INSERT OR IGNORE INTO series BY NAME FROM archived_series;

CREATE OR REPLACE TEMP TABLE new_spans AS
FROM archived_spans AS new
WHERE NOT EXISTS (FROM spans AS old WHERE old.trace_id = new.trace_id AND old.span_id = new.span_id);

INSERT INTO spans BY NAME FROM new_spans;

CREATE OR REPLACE TEMP TABLE new_span_minutes AS
SELECT
    started // 60_000_000_000 * 60 AS minute,
    operation,
    status_code,
    CASE WHEN duration > 0 THEN floor(8 * log2(duration)) ELSE 0 END::SMALLINT AS bucket,
    sum(weight::DOUBLE) AS calls,
    sum(CASE WHEN status = 2 THEN weight::DOUBLE ELSE 0 END) AS errors,
    sum(weight::DOUBLE * duration) AS total,
    max(duration) AS longest,
    sum(CASE WHEN rows > 0 THEN weight::DOUBLE * rows ELSE 0 END) AS rows
FROM new_spans
GROUP BY 1, 2, 3, 4
UNION ALL BY NAME
SELECT *
FROM archived_span_minutes AS new
WHERE
    NOT EXISTS (FROM archived_spans AS raw WHERE raw.started // 60_000_000_000 * 60 = new.minute)
    AND NOT EXISTS (FROM span_minutes AS old WHERE old.operation = new.operation AND old.minute = new.minute);

INSERT INTO span_minutes BY NAME FROM new_span_minutes;

INSERT INTO span_hours
SELECT minute // 3600 * 3600, * EXCLUDE (minute)
FROM new_span_minutes
WHERE minute < (SELECT hours FROM progress);

INSERT INTO span_hours BY NAME
SELECT *
FROM archived_span_hours AS new
WHERE
    NOT EXISTS (FROM archived_span_minutes AS made WHERE made.minute // 3600 * 3600 = new.hour)
    AND NOT EXISTS (FROM archived_spans AS raw WHERE raw.started // 3_600_000_000_000 * 3600 = new.hour)
    AND NOT EXISTS (FROM span_hours AS old WHERE old.operation = new.operation AND old.hour = new.hour);

CREATE OR REPLACE TEMP TABLE new_points AS
FROM archived_points AS new
WHERE NOT EXISTS (FROM points AS old WHERE old.series = new.series AND old.time = new.time);

INSERT INTO points BY NAME FROM new_points;

CREATE OR REPLACE TEMP TABLE new_point_minutes AS
SELECT
    time // 60_000_000_000 * 60 AS minute, 1 AS points, value AS last,
    * EXCLUDE (time, exemplars)
FROM new_points
UNION ALL BY NAME
SELECT *
FROM archived_point_minutes AS new
WHERE
    NOT EXISTS (FROM archived_points AS raw WHERE raw.time // 60_000_000_000 * 60 = new.minute)
    AND NOT EXISTS (FROM point_minutes AS old WHERE old.series = new.series AND old.minute = new.minute);

INSERT INTO point_minutes BY NAME FROM new_point_minutes;

INSERT INTO point_hours BY NAME
SELECT minute // 3600 * 3600 AS hour, * EXCLUDE (minute)
FROM new_point_minutes
WHERE minute < (SELECT hours FROM progress);

INSERT INTO point_hours BY NAME
SELECT *
FROM archived_point_hours AS new
WHERE
    NOT EXISTS (FROM archived_point_minutes AS made WHERE made.minute // 3600 * 3600 = new.hour)
    AND NOT EXISTS (FROM archived_points AS raw WHERE raw.time // 3_600_000_000_000 * 3600 = new.hour)
    AND NOT EXISTS (FROM point_hours AS old WHERE old.series = new.series AND old.hour = new.hour);

CREATE OR REPLACE TEMP TABLE new_logs AS
FROM archived_logs AS new
WHERE NOT EXISTS (
    FROM logs AS old WHERE old.time = new.time AND old.resource = new.resource AND old.body = new.body
);

INSERT INTO logs BY NAME FROM new_logs;

INSERT INTO log_minutes
SELECT time // 60_000_000_000 * 60, resource, severity, count(*)
FROM new_logs
GROUP BY 1, 2, 3;

INSERT INTO log_minutes BY NAME
SELECT *
FROM archived_log_minutes AS new
WHERE
    NOT EXISTS (FROM archived_logs AS raw WHERE raw.time // 60_000_000_000 * 60 = new.minute)
    AND NOT EXISTS (FROM log_minutes AS old WHERE old.resource = new.resource AND old.minute = new.minute);

INSERT OR IGNORE INTO frames BY NAME FROM archived_frames;

INSERT OR IGNORE INTO stack_nodes BY NAME FROM archived_stack_nodes;

INSERT OR IGNORE INTO stacks BY NAME FROM archived_stacks;

INSERT OR IGNORE INTO profile_contexts BY NAME FROM archived_profile_contexts;

CREATE OR REPLACE TEMP TABLE new_samples AS
FROM archived_profile_samples AS new
WHERE NOT EXISTS (FROM profile_samples AS old WHERE old.resource = new.resource AND old.time = new.time);

INSERT INTO profile_samples BY NAME FROM new_samples;

CREATE OR REPLACE TEMP TABLE new_profile_minutes AS
SELECT
    time // 60_000_000_000 * 60 AS minute,
    resource,
    context,
    stack,
    least(sum(value), 9000000000000000000)::BIGINT AS value,
    least(sum(samples), 9000000000000000000)::BIGINT AS samples
FROM new_samples
GROUP BY ALL
UNION ALL BY NAME
SELECT *
FROM archived_profile_minutes AS new
WHERE
    NOT EXISTS (FROM archived_profile_samples AS raw WHERE raw.time // 60_000_000_000 * 60 = new.minute)
    AND NOT EXISTS (FROM profile_minutes AS old WHERE old.resource = new.resource AND old.minute = new.minute);

INSERT INTO profile_minutes BY NAME FROM new_profile_minutes;

INSERT INTO profile_hours BY NAME
SELECT minute // 3600 * 3600 AS hour, * EXCLUDE (minute)
FROM new_profile_minutes
WHERE minute < (SELECT hours FROM progress);

INSERT INTO profile_hours BY NAME
SELECT *
FROM archived_profile_hours AS new
WHERE
    NOT EXISTS (FROM archived_profile_minutes AS made WHERE made.minute // 3600 * 3600 = new.hour)
    AND NOT EXISTS (FROM archived_profile_samples AS raw WHERE raw.time // 3_600_000_000_000 * 3600 = new.hour)
    AND NOT EXISTS (FROM profile_hours AS old WHERE old.resource = new.resource AND old.hour = new.hour)
