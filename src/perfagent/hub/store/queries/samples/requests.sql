-- The spans of up to 100 requests of each of some operations, drawn by their ids, which are random;
-- not more than $most spans, and no trace in part, so that of requests with thousands of spans fewer are read.
WITH drawn AS MATERIALIZED (
    SELECT DISTINCT unnest(traces[:$each]) AS trace_id
    FROM (
        SELECT min_by(trace_id, span_id, 100) AS traces
        FROM spans
        WHERE operation IN (SELECT unnest($operations)) AND started >= $begin_ns AND started < $end_ns
        GROUP BY operation
    )
),
found AS (
    SELECT
        trace_id, span_id, parent_id, resource, operation, kind, started, duration, status,
        CASE WHEN contains(attributes, '"perfagent.time.cpu"') THEN attributes END AS told,
        count(*) OVER (PARTITION BY trace_id) AS size
    FROM spans
    WHERE
        started >= $begin_ns - 3_600_000_000_000 AND started < $end_ns + 3_600_000_000_000
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
