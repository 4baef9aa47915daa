-- The spans of one commit by minute, operation, status and duration. Spans of hours that are rolled up already count
-- there as well.
CREATE OR REPLACE TEMP TABLE fresh AS
SELECT
    started // 60_000_000_000 * 60 AS minute,
    operation,
    status_code,
    CASE WHEN duration > 0 THEN floor(8 * log2(duration)) ELSE 0 END::SMALLINT AS bucket,
    sum(weight::DOUBLE) AS calls,
    sum(CASE WHEN status = 2 THEN weight::DOUBLE ELSE 0 END) AS errors,
    sum(weight::DOUBLE * duration) AS total,
    max(duration) AS longest,
    sum(CASE WHEN rows >= 0 THEN weight::DOUBLE * rows ELSE 0 END) AS rows
FROM incoming
GROUP BY 1, 2, 3, 4;

INSERT INTO span_minutes SELECT * FROM fresh;

INSERT INTO span_hours SELECT minute // 3600 * 3600, * EXCLUDE (minute) FROM fresh WHERE minute < $hours
