-- How long each process was looked at within a range, seconds.
WITH {profiles/chosen},
{profiles/told}
SELECT
    resource,
    (max(moment) - min(moment)) / 1e9 AS seconds,
    count(DISTINCT moment) AS windows,
    sum(value)::DOUBLE AS value,
    least(sum(samples), 9000000000000000000)::BIGINT AS samples
FROM told
WHERE
    context IN (FROM chosen)
    AND moment >= $begin_ns AND moment < $end_ns
    AND list_contains($resources, resource)
GROUP BY resource
