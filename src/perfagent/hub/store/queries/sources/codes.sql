-- How often each of the operations answered with each status, from roll-ups.
SELECT calls.operation, calls.status_code AS code, sum(calls.calls) AS requests
FROM span_calls($since, $until, $hours_since, $hours_until) AS calls
WHERE list_contains($operations, calls.operation)
GROUP BY ALL
ORDER BY ALL
