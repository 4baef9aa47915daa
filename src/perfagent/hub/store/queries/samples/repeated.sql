-- Statements and calls that ran again and again within one request, by the operation of the request.
WITH sample AS (
    SELECT trace_id, resource, operation, entry, duration
    FROM spans
    WHERE started >= $begin_ns AND started < $end_ns
),
repeated AS (
    SELECT
        sample.trace_id,
        sample.resource,
        sample.operation,
        count(*) AS times,
        sum(sample.duration) AS total
    FROM sample
    JOIN operations ON operations.id = sample.operation
    WHERE operations.category IN ('db', 'cache', 'http', 'rpc')
    GROUP BY ALL
    HAVING count(*) >= $least
),
requests AS (
    SELECT operation, count(*) AS seen
    FROM sample
    WHERE entry
    GROUP BY operation
)
SELECT
    entries.operation AS endpoint,
    repeated.operation,
    count(*) AS requests,
    any_value(requests.seen) AS seen,
    avg(repeated.times) AS mean_times,
    max(repeated.times) AS most_times,
    sum(repeated.total) AS total,
    sum(entries.duration) AS duration,
    arg_max(repeated.trace_id, repeated.times) AS trace_id
FROM repeated
JOIN sample AS entries
    ON entries.trace_id = repeated.trace_id AND entries.resource = repeated.resource AND entries.entry
JOIN requests ON requests.operation = entries.operation
WHERE entries.operation <> repeated.operation
GROUP BY ALL
