-- The spans of up to 2 times $each requests of each of some operations, the longest and others drawn by their ids, which
-- are random; not more than $most spans, and no trace in part.
WITH chosen AS (
    SELECT operation, min_by(trace_id, hash(span_id), $each) AS others, max_by(trace_id, duration, $each) AS longest
    FROM spans
    WHERE operation IN (SELECT unnest($operations)) AND started >= $begin_ns AND started < $end_ns
    GROUP BY operation
),
drawn AS MATERIALIZED (
    SELECT DISTINCT unnest(list_concat(others, longest)) AS trace_id
    FROM chosen
),
found AS (
    SELECT
        trace_id, span_id, parent_id, resource, operation, kind, started, duration, status,
        CASE WHEN contains(attributes, '"perfagent.time.cpu"') THEN attributes END AS told,
        count(*) OVER (PARTITION BY trace_id) AS size
    FROM spans
    WHERE
        started >= $begin_ns - 600_000_000_000 AND started < $end_ns + 600_000_000_000
        AND trace_id IN (SELECT trace_id FROM drawn)
),
numbered AS (
    SELECT *, count(*) OVER (ORDER BY size, trace_id RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS upto
    FROM found
)
SELECT numbered.* EXCLUDE (size, upto), operations.category, operations.system
FROM numbered
JOIN operations ON operations.id = numbered.operation
WHERE numbered.upto <= $most
