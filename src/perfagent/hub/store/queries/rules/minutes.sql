-- Points of the series $ids by group ($groups, in the same order; a series may be in several), as lists in the order of
-- the minutes in [$since, $until). A series' readings of a minute become one first, so that one that reports more often
-- does not count for more.
WITH chosen AS (
    SELECT unnest($ids) AS series, unnest($groups) AS grp
),
single AS (
    SELECT
        points.minute,
        points.series,
        sum(points.value * points.points) / sum(points.points) AS mean,
        arg_max(points.last, points.rowid) AS last,
        sum(points.delta) AS delta,
        sum(points.count) AS count,
        sum(points.total) AS total,
        min(coalesce(points.smallest, points.value)) AS smallest,
        max(coalesce(points.largest, points.value)) AS largest
    FROM point_minutes AS points
    WHERE points.minute >= $since AND points.minute < $until AND points.series IN (SELECT series FROM chosen)
    GROUP BY ALL
),
minutes AS (
    SELECT
        chosen.grp,
        single.minute,
        count(single.mean)::DOUBLE AS series,
        sum(single.mean) AS mean,
        sum(single.last) AS last,
        sum(single.delta) AS delta,
        sum(single.count)::DOUBLE AS count,
        sum(single.total) AS total,
        min(single.smallest) AS smallest,
        max(single.largest) AS largest
    FROM single
    JOIN chosen ON chosen.series = single.series
    GROUP BY ALL
)
SELECT
    grp,
    list(minute ORDER BY minute) AS times,
    list(series ORDER BY minute) AS series,
    list(mean ORDER BY minute) AS mean,
    list(last ORDER BY minute) AS last,
    list(delta ORDER BY minute) AS delta,
    list(count ORDER BY minute) AS count,
    list(total ORDER BY minute) AS total,
    list(smallest ORDER BY minute) AS smallest,
    list(largest ORDER BY minute) AS largest
FROM minutes
GROUP BY grp
