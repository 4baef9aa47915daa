-- When the last $most calls of a range began, of one operation or of all, seconds since the epoch: from roll-ups.
WITH moments AS (
    SELECT time, sum(calls) AS calls
    FROM span_calls($since, $until, $hours_since, $hours_until)
    WHERE $operation IS NULL OR operation = $operation
    GROUP BY time
),
summed AS (
    SELECT time, calls, sum(calls) OVER (ORDER BY time DESC) AS upto
    FROM moments
)
SELECT min(time) FILTER (upto - calls < $most) AS begin
FROM summed
