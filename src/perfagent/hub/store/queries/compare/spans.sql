-- Calls of each operation by block of $width_ns and duration, from the spans themselves, of some processes or of all;
-- lists in the same order. `weight` is for how many spans one stands, where some were sampled out.
WITH blocks AS (
    SELECT
        operation,
        (started - $begin_ns) // $width_ns AS block,
        CASE WHEN duration > 1 THEN floor(8 * log2(duration))::INTEGER ELSE 0 END AS bucket,
        sum(weight) AS calls,
        sum(CASE WHEN status = 2 THEN weight ELSE 0 END) AS errors,
        count(*) AS spans
    FROM spans
    WHERE
        started >= $begin_ns AND started < $end_ns
        AND ($resources IS NULL OR list_contains($resources, resource))
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
    list(blocks.errors) AS errors,
    sum(blocks.spans) / sum(blocks.calls) AS scale
FROM blocks
JOIN operations ON operations.id = blocks.operation
WHERE ($service IS NULL OR operations.service = $service)
GROUP BY ALL
ORDER BY count(*) DESC
LIMIT $most
