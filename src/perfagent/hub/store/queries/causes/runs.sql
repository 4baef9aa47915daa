-- How often some statements ran in one request that ran them at all, by the operation of the request.
WITH sample AS (
    SELECT trace_id, resource, operation, entry
    FROM spans
    WHERE started >= $begin_ns AND started < $end_ns
),
counted AS (
    SELECT trace_id, resource, operation, count(*) AS times
    FROM sample
    WHERE operation IN (SELECT unnest($operations))
    GROUP BY ALL
)
SELECT entries.operation AS endpoint, counted.operation, avg(counted.times) AS times
FROM counted
JOIN sample AS entries
    ON entries.trace_id = counted.trace_id AND entries.resource = counted.resource AND entries.entry
WHERE entries.operation <> counted.operation
GROUP BY ALL
