-- How many calls a range has, from roll-ups.
SELECT coalesce(sum(calls), 0) AS spans
FROM span_calls($since, $until, $hours_since, $hours_until)
