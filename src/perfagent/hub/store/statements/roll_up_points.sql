-- The points of one commit by minute: a row each, merged when the minute has ended.
CREATE OR REPLACE TEMP TABLE fresh AS
SELECT
    time // 60_000_000_000 * 60 AS minute,
    series,
    1 AS points,
    value,
    value AS last,
    delta,
    count,
    total,
    smallest,
    largest,
    buckets,
    first_bucket,
    zeros
FROM incoming;

INSERT INTO point_minutes SELECT * FROM fresh;

INSERT INTO point_hours SELECT minute // 3600 * 3600, * EXCLUDE (minute) FROM fresh WHERE minute < $hours
