-- What some traces hold as a whole: how many spans and failures, which services, and where each began.
SELECT
    spans.trace_id,
    count(*) AS spans,
    count(*) FILTER (spans.status = 2) AS errors,
    list(DISTINCT operations.service ORDER BY operations.service) AS services
FROM spans
JOIN operations ON operations.id = spans.operation
WHERE
    spans.started >= $begin_ns - 3_600_000_000_000 AND spans.started < $end_ns + 3_600_000_000_000
    AND spans.trace_id IN (SELECT unnest($traces))
GROUP BY spans.trace_id
