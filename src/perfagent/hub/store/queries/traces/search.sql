-- Requests that match, the newest or the slowest first, from a place in that order on. A text and attributes may be
-- those of any span of the request's trace; everything else is about the request itself.
WITH holding AS (
    SELECT inner_spans.trace_id
    FROM spans AS inner_spans
    WHERE
        $has_text
        AND inner_spans.started >= $begin_ns AND inner_spans.started < $end_ns
        AND (
            inner_spans.operation IN (
                SELECT id FROM operations WHERE contains(lower(name), $text) OR contains(lower(text), $text)
            )
            OR contains(lower(inner_spans.name), $text)
            OR contains(lower(inner_spans.status_message), $text)
            OR (inner_spans.entry AND contains(lower(inner_spans.attributes), $text))
            OR (inner_spans.status = 2 AND contains(lower(inner_spans.events), $text))
        )
),
tagged AS (
    SELECT inner_spans.trace_id
    FROM spans AS inner_spans
    WHERE
        $has_attributes
        AND inner_spans.started >= $begin_ns AND inner_spans.started < $end_ns
        AND (
            (
                contains(inner_spans.attributes, $part)
                AND json_extract_string(inner_spans.attributes, $paths) = $values
            )
            OR inner_spans.resource IN (
                SELECT id FROM resources WHERE json_extract_string(attributes, $paths) = $values
            )
        )
)
SELECT
    spans.trace_id,
    spans.span_id,
    spans.parent_id,
    spans.operation,
    spans.started,
    spans.duration,
    spans.status,
    spans.status_code,
    spans.name,
    operations.service
FROM spans
JOIN operations ON operations.id = spans.operation
WHERE
    spans.started >= $begin_ns AND spans.started < $end_ns
    AND ($operation IS NULL OR spans.operation = $operation)
    AND ($operation IS NOT NULL OR spans.entry)
    AND ($service IS NULL OR operations.service = $service)
    AND ($route IS NULL OR operations.name = $route OR ends_with(operations.name, ' ' || $route))
    AND ($least IS NULL OR spans.duration >= $least)
    AND ($most IS NULL OR spans.duration <= $most)
    AND ($failed IS NULL OR (spans.status = 2) = $failed)
    AND ($code IS NULL OR spans.status_code = $code)
    AND ($traces IS NULL OR spans.trace_id IN (SELECT unnest($traces)))
    AND (NOT $has_text OR spans.trace_id IN (SELECT trace_id FROM holding))
    AND (NOT $has_attributes OR spans.trace_id IN (SELECT trace_id FROM tagged))
    AND CASE
        WHEN $after_id IS NULL THEN true
        WHEN $slowest THEN (spans.duration, spans.span_id) < ($after::BIGINT, $after_id::BLOB)
        ELSE (spans.started, spans.span_id) < ($after::BIGINT, $after_id::BLOB)
    END
ORDER BY CASE WHEN $slowest THEN spans.duration ELSE spans.started END DESC, spans.span_id DESC
LIMIT $limit
