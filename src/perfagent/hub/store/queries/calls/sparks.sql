-- How often each operation was called in each step, from roll-ups.
SELECT
    calls.operation,
    calls.time // $step * $step AS time,
    sum(calls.calls) AS calls
FROM span_calls($since, $until, $hours_since, $hours_until) AS calls
WHERE calls.operation IN (SELECT unnest($operations))
GROUP BY ALL
