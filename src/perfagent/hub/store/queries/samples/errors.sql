-- The newest failed spans, with what tells why they failed.
SELECT
    spans.trace_id,
    spans.span_id,
    spans.parent_id,
    spans.operation,
    spans.started,
    spans.entry,
    spans.status_code,
    spans.status_message,
    spans.weight,
    coalesce(json_extract_string(spans.attributes, '$."error.type"'), '') AS error_type,
    spans.events,
    spans.caller,
    operations.service,
    operations.category,
    operations.name
FROM spans
JOIN operations ON operations.id = spans.operation
WHERE
    spans.status = 2
    AND spans.started >= $begin_ns AND spans.started < $end_ns
    AND ($service IS NULL OR operations.service = $service)
ORDER BY spans.started DESC
LIMIT $most
