-- The value that the share $share of the readings of the series $ids does not exceed, by step and group ($groups, in the
-- same order). Readings that were put together count by their sketches: place p holds values about 2^((|p| - 40000) / 32).
WITH chosen AS (
    SELECT unnest($ids) AS series, unnest($groups) AS grp
),
taken AS (
    SELECT points.series, points.time, points.value, chosen.grp, coalesce(points.count, 1) AS readings,
        points.count IS NOT NULL AND points.smallest < points.largest AS sketched
    FROM points
    JOIN chosen ON chosen.series = points.series
    WHERE points.time >= $begin_ns AND points.time < $end_ns AND points.value IS NOT NULL
),
places AS (
    SELECT
        sketches.time, chosen.grp,
        unnest(sketches.places) AS place, unnest(sketches.counts) AS readings
    FROM sketches
    JOIN chosen ON chosen.series = sketches.series
    WHERE sketches.time >= $begin_ns AND sketches.time < $end_ns
),
readings AS (
    SELECT time, grp, value, readings
    FROM taken
    WHERE NOT sketched
    UNION ALL
    SELECT
        time, grp,
        sign(place) * pow(2, (abs(place) - 40000) / 32.0) * 2 * pow(2, 1 / 32.0) / (pow(2, 1 / 32.0) + 1), readings
    FROM places
),
steps AS (
    SELECT (time // 1000000000)::BIGINT // $step * $step AS time, grp, value, readings
    FROM readings
),
ordered AS (
    SELECT
        time, grp, value,
        sum(readings) OVER (PARTITION BY time, grp ORDER BY value ROWS UNBOUNDED PRECEDING) AS upto,
        sum(readings) OVER (PARTITION BY time, grp) AS whole
    FROM steps
)
SELECT time, grp, min(value) AS value
FROM ordered
WHERE upto >= greatest(ceil($share * whole - 1e-9), 1)
GROUP BY time, grp
ORDER BY time, grp
