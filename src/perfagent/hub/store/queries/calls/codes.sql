-- The status codes of one operation, from roll-ups.
SELECT
    calls.status_code AS code,
    sum(calls.calls) AS requests
FROM span_calls($since, $until, $hours_since, $hours_until) AS calls
WHERE calls.operation = $operation
GROUP BY ALL
ORDER BY requests DESC
