-- For how many spans one of them stands, by operation, where some were sampled out.
SELECT
    operation,
    avg(weight) AS weight
FROM spans
WHERE started >= $begin_ns AND started < $end_ns
GROUP BY operation
HAVING avg(weight) > 1
