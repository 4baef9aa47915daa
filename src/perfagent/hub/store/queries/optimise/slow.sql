-- Slow statements by service and operation: how often each took longer than the bucket $bucket, the slowest first.
SELECT
    operations.service,
    operations.name,
    operations.text,
    operations.system,
    operations.id AS operation,
    sum(minutes.calls) AS calls,
    sum(minutes.total) / sum(minutes.calls) / 1e6 AS mean_ms
FROM span_minutes AS minutes
JOIN operations ON operations.id = minutes.operation
WHERE
    operations.category = 'db'
    AND minutes.minute >= $since
    AND minutes.minute < $until
    AND minutes.bucket >= $bucket
GROUP BY ALL
ORDER BY sum(minutes.total) DESC, operations.id
LIMIT 200
