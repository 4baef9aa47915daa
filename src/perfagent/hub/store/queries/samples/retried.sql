-- Calls that ran at least 3 times within one request of which 2 failed, by the operation of the request.
WITH sample AS (
    SELECT trace_id, resource, operation, entry, duration, status
    FROM spans
    WHERE started >= $begin_ns AND started < $end_ns
),
retried AS (
    SELECT
        sample.trace_id,
        sample.resource,
        sample.operation,
        count(*) AS tries,
        count(*) FILTER (sample.status = 2) AS failed,
        sum(sample.duration) AS total
    FROM sample
    JOIN operations ON operations.id = sample.operation
    WHERE operations.category IN ('db', 'cache', 'http', 'rpc', 'producer')
    GROUP BY ALL
    HAVING count(*) >= 3 AND count(*) FILTER (sample.status = 2) >= 2
)
SELECT
    entries.operation AS endpoint,
    retried.operation,
    count(*) AS requests,
    avg(retried.tries) AS tries,
    sum(retried.failed) / sum(retried.tries) AS failed,
    sum(retried.total) AS total,
    arg_max(retried.trace_id, retried.tries) AS trace_id
FROM retried
JOIN sample AS entries
    ON entries.trace_id = retried.trace_id AND entries.resource = retried.resource AND entries.entry
WHERE entries.operation <> retried.operation
GROUP BY ALL
HAVING sum(retried.failed) >= 0.5 * sum(retried.tries)
