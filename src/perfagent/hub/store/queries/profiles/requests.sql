-- How many requests, jobs and messages there were: of one name or of all.
SELECT coalesce(sum(span_minutes.calls), 0)::DOUBLE AS requests
FROM span_minutes
JOIN operations ON operations.id = span_minutes.operation
WHERE
    span_minutes.minute >= $since AND span_minutes.minute < $until
    AND operations.category IN ('server', 'consumer')
    AND ($service IS NULL OR operations.service = $service)
    AND ($endpoint IS NULL OR operations.name = $endpoint)
