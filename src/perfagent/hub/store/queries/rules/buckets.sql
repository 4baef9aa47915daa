-- Histograms of the series $ids by minute and group ($groups, in the same order): position -100000 holds zeros, other
-- positions are buckets of explicit bounds or, without bounds, of an exponential histogram at scale 3.
WITH chosen AS (
    SELECT wanted.series, wanted.grp, series.bounds, dense_rank() OVER (ORDER BY series.bounds) AS shape
    FROM (SELECT unnest($ids) AS series, unnest($groups) AS grp) AS wanted
    JOIN series ON series.id = wanted.series
),
histograms AS (
    SELECT
        points.minute,
        chosen.grp,
        chosen.shape,
        points.buckets,
        coalesce(points.first_bucket, 0) AS first_bucket,
        points.zeros,
        points.largest
    FROM point_minutes AS points
    JOIN chosen ON chosen.series = points.series
    WHERE points.minute >= $since AND points.minute < $until AND points.count > 0
),
single AS (
    SELECT
        minute, grp, shape, largest,
        first_bucket + unnest(range(len(buckets))) AS position,
        unnest(buckets) AS calls
    FROM histograms
    WHERE buckets IS NOT NULL
    UNION ALL
    SELECT minute, grp, shape, largest, -100000, zeros
    FROM histograms
    WHERE zeros > 0
),
summed AS (
    SELECT minute, grp, shape, position, sum(calls)::DOUBLE AS calls, max(largest) AS largest
    FROM single
    WHERE calls > 0
    GROUP BY ALL
),
whole AS (
    SELECT
        minute, grp, shape,
        list(position) AS positions, list(calls) AS counts, max(largest) AS largest, sum(calls) AS calls
    FROM summed
    GROUP BY minute, grp, shape
)
SELECT whole.minute, whole.grp, shapes.bounds, whole.positions, whole.counts, whole.largest
FROM whole
JOIN (SELECT shape, any_value(bounds) AS bounds FROM chosen GROUP BY shape) AS shapes ON shapes.shape = whole.shape
ORDER BY whole.minute, whole.grp, whole.calls DESC
