-- How long requests of a service took in a range, ms.
SELECT spans.duration / 1e6 AS value
FROM spans
JOIN operations ON operations.id = spans.operation
WHERE
    operations.category IN ('server', 'consumer')
    AND operations.service = $service
    AND spans.started >= $begin_ns
    AND spans.started < $end_ns
ORDER BY spans.started
LIMIT 20000
