-- The spans of one trace, the first ones where there are more than $most.
SELECT
    spans.*,
    operations.service,
    operations.category,
    operations.system,
    resources.instance
FROM spans
JOIN operations ON operations.id = spans.operation
LEFT JOIN resources ON resources.id = spans.resource
WHERE spans.trace_id = $trace_id
ORDER BY spans.started
LIMIT $most
