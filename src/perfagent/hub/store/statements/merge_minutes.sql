-- One row for each key of the minutes in [$since, $until), in place of one for each commit.
CREATE OR REPLACE TEMP TABLE merged AS
SELECT
    minute,
    operation,
    status_code,
    bucket,
    sum(calls) AS calls,
    sum(errors) AS errors,
    sum(total) AS total,
    max(longest) AS longest,
    sum(rows) AS rows
FROM span_minutes
WHERE minute >= $since AND minute < $until
GROUP BY ALL;

DELETE FROM span_minutes WHERE minute >= $since AND minute < $until;

INSERT INTO span_minutes SELECT * FROM merged ORDER BY minute, operation;

CREATE OR REPLACE TEMP TABLE merged AS
SELECT minute, resource, severity, sum(records) AS records
FROM log_minutes
WHERE minute >= $since AND minute < $until
GROUP BY ALL;

DELETE FROM log_minutes WHERE minute >= $since AND minute < $until;

INSERT INTO log_minutes SELECT * FROM merged ORDER BY minute;

CREATE OR REPLACE TEMP TABLE merged AS
SELECT * FROM merged_points($since, $until, 60);

DELETE FROM point_minutes WHERE minute >= $since AND minute < $until;

INSERT INTO point_minutes SELECT * FROM merged ORDER BY time, series;

CREATE OR REPLACE TEMP TABLE merged AS
SELECT
    minute,
    resource,
    context,
    stack,
    least(sum(value), 9000000000000000000)::BIGINT AS value,
    least(sum(samples), 9000000000000000000)::BIGINT AS samples
FROM profile_minutes
WHERE minute >= $since AND minute < $until
GROUP BY ALL;

DELETE FROM profile_minutes WHERE minute >= $since AND minute < $until;

INSERT INTO profile_minutes SELECT * FROM merged ORDER BY minute, resource, context;

UPDATE progress SET minutes = $until
