-- How often each operation ran within one trace at most.
SELECT operation, max(times) AS times
FROM (
    SELECT trace_id, operation, count(*) AS times
    FROM spans
    WHERE
        started >= $begin_ns AND started < $end_ns
        AND operation IN (SELECT unnest($operations))
    GROUP BY ALL
)
GROUP BY operation
