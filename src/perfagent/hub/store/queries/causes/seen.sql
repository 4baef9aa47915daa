-- Of some operations: where they were called from most often, and the traces of their longest spans in a range.
SELECT
    operation,
    mode(caller) FILTER (caller IS NOT NULL) AS caller,
    max_by(trace_id, duration, 3) AS traces
FROM spans
WHERE started >= $begin_ns AND started < $end_ns AND operation IN (SELECT unnest($operations))
GROUP BY operation
