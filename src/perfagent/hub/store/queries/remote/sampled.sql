-- Requests that came of late and of which the window has few spans, those with fewest first.
SELECT calls.operation, count(spans.span_id) AS sampled
FROM (
    SELECT span_minutes.operation, sum(span_minutes.calls) AS calls
    FROM span_minutes
    JOIN operations ON operations.id = span_minutes.operation
    WHERE span_minutes.minute >= $since AND operations.category IN ('server', 'consumer')
    GROUP BY span_minutes.operation
) AS calls
LEFT JOIN spans ON spans.operation = calls.operation AND spans.started >= $begin_ns
GROUP BY calls.operation
HAVING count(spans.span_id) < $most
ORDER BY sampled, any_value(calls.calls) DESC
LIMIT 100
