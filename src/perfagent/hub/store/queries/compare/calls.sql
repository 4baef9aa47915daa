-- Calls of each operation by block of $width seconds and duration, from the roll-ups; lists in the same order.
WITH blocks AS (
    SELECT
        operation,
        (time - $first) // $width AS block,
        bucket,
        sum(calls) AS calls,
        sum(errors) AS errors
    FROM span_calls($since, $until, $hours_since, $hours_until)
    GROUP BY ALL
)
SELECT
    operations.service,
    operations.category,
    operations.name,
    operations.text,
    operations.id AS operation,
    list(blocks.block) AS blocks,
    list(blocks.bucket) AS buckets,
    list(blocks.calls) AS counts,
    list(blocks.errors) AS errors
FROM blocks
JOIN operations ON operations.id = blocks.operation
WHERE ($service IS NULL OR operations.service = $service)
GROUP BY ALL
ORDER BY count(*) DESC
LIMIT $most
