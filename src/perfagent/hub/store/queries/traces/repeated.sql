-- What ran several times in one trace; of all its spans, however many there are.
SELECT
    spans.operation,
    operations.category,
    operations.name AS summary,
    operations.text,
    count(*) AS times,
    sum(spans.duration) AS total,
    mode(spans.parent_id) AS parent_id,
    mode(spans.caller) AS caller,
    sum(count(*)) OVER () AS whole
FROM spans
JOIN operations ON operations.id = spans.operation
WHERE spans.trace_id = $trace_id
GROUP BY ALL
ORDER BY total DESC
