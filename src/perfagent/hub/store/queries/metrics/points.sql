-- Points of the series $ids by step and by the group that each is in ($groups, in the same order). A series' readings of
-- a step become one first, so that one that reports more often does not count for more.
WITH chosen AS (
    SELECT unnest($ids) AS series, unnest($groups) AS grp
),
single AS (
    SELECT
        points.time // $step * $step AS time,
        chosen.grp,
        points.series,
        sum(points.value * points.points) / sum(points.points) AS mean,
        arg_max(points.last, points.time) AS last,
        sum(points.points) AS points,
        sum(points.delta) AS delta,
        sum(points.count) AS count,
        sum(points.total) AS total,
        min(coalesce(points.smallest, points.value)) AS smallest,
        max(coalesce(points.largest, points.value)) AS largest
    FROM metric_points($since, $until, $hours_since, $hours_until) AS points
    JOIN chosen ON chosen.series = points.series
    GROUP BY ALL
)
SELECT
    time,
    grp,
    sum(points)::BIGINT AS points,
    sum(mean) AS mean_summed,
    avg(mean) AS mean,
    sum(last) AS last_summed,
    avg(last) AS last,
    sum(delta) AS delta,
    sum(count)::BIGINT AS count,
    sum(total) AS total,
    min(smallest) AS smallest,
    max(largest) AS largest
FROM single
GROUP BY time, grp
ORDER BY time, grp
