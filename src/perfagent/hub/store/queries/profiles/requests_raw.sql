-- The same of some processes, from the spans themselves.
SELECT coalesce(sum(spans.weight), 0)::DOUBLE AS requests
FROM spans
JOIN operations ON operations.id = spans.operation
WHERE
    spans.started >= $begin_ns AND spans.started < $end_ns
    AND list_contains($resources, spans.resource)
    AND operations.category IN ('server', 'consumer')
    AND ($endpoint IS NULL OR operations.name = $endpoint)
