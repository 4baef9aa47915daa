-- Histograms of metrics, one row a bucket: by step with all processes together (resource NULL), and by process with all
-- steps together (time NULL). The row without a position has the sum of the values, the one at -100000 the zeros.
WITH chosen AS MATERIALIZED (
    SELECT id, name, resource, bounds
    FROM series
    WHERE list_contains($names, name) AND ($service IS NULL OR service = $service)
),
taken AS (
    SELECT
        time // $step * $step AS time, series, buckets, coalesce(first_bucket, 0) AS first_bucket, zeros, total, largest
    FROM metric_points($since, $until, $hours_since, $hours_until)
    WHERE series IN (SELECT id FROM chosen) AND count > 0 AND buckets IS NOT NULL
),
single AS (
    SELECT time, series, largest, first_bucket + unnest(range(len(buckets))) AS position, unnest(buckets) AS amount
    FROM taken
    UNION ALL
    SELECT time, series, largest, -100000, zeros FROM taken WHERE zeros > 0
    UNION ALL
    SELECT time, series, largest, NULL, total FROM taken
),
sums AS ( -- before the bounds are joined: comparing lists of numbers 100,000 times takes 15 ms
    SELECT time, series, position, sum(amount) AS amount, max(largest) AS largest
    FROM single
    WHERE amount > 0
    GROUP BY ALL
)
SELECT
    sums.time, chosen.name, chosen.resource, chosen.bounds, sums.position,
    sum(sums.amount) AS amount, max(sums.largest) AS largest
FROM sums
JOIN chosen ON chosen.id = sums.series
GROUP BY GROUPING SETS (
    (sums.time, chosen.name, chosen.bounds, sums.position),
    (chosen.resource, chosen.name, chosen.bounds, sums.position)
)
