-- What readers of roll-ups select from: hours in [hours_since, hours_until), minutes in the rest of [since, until), all
-- in seconds since the epoch. One range may so be answered from both: closed hours and the hour that is still open.
-- Macros and not views: bounds inside each part let DuckDB skip the row groups outside of them.

CREATE MACRO span_calls(since, until, hours_since, hours_until) AS TABLE
SELECT minute AS time, * EXCLUDE (minute)
FROM span_minutes
WHERE minute >= since AND minute < until AND NOT (minute >= hours_since AND minute < hours_until)
UNION ALL
SELECT hour AS time, * EXCLUDE (hour)
FROM span_hours
WHERE hour >= hours_since AND hour < hours_until;

CREATE MACRO metric_points(since, until, hours_since, hours_until) AS TABLE
SELECT minute AS time, * EXCLUDE (minute)
FROM point_minutes
WHERE minute >= since AND minute < until AND NOT (minute >= hours_since AND minute < hours_until)
UNION ALL
SELECT hour AS time, * EXCLUDE (hour)
FROM point_hours
WHERE hour >= hours_since AND hour < hours_until;

-- The points of the minutes in [since, until) put together by `seconds`. The counts of buckets are added up place by
-- place: explicit histograms from the first place, exponential ones from `first_bucket`.
CREATE MACRO merged_points(since, until, seconds) AS TABLE
WITH taken AS (
    SELECT minute // seconds * seconds AS time, rowid AS number, * EXCLUDE (minute)
    FROM point_minutes
    WHERE minute >= since AND minute < until
),
places AS (
    SELECT
        time,
        series,
        generate_subscripts(buckets, 1) - 1 + coalesce(first_bucket, 0) AS place,
        unnest(buckets) AS counted
    FROM taken
    WHERE buckets IS NOT NULL
),
sums AS (
    SELECT time, series, place, sum(counted)::BIGINT AS counted
    FROM places
    GROUP BY ALL
),
lists AS (
    SELECT time, series, min(place) AS low, max(place) AS high, map(list(place), list(counted)) AS counts
    FROM sums
    GROUP BY ALL
),
plain AS (
    SELECT
        time,
        series,
        sum(points)::BIGINT AS points,
        sum(value * points) / sum(points) AS value,
        arg_max(last, number) AS last,
        sum(delta) AS delta,
        sum(count)::BIGINT AS count,
        sum(total) AS total,
        min(smallest) AS smallest,
        max(largest) AS largest,
        bool_or(first_bucket IS NOT NULL) AS exponential,
        sum(zeros)::BIGINT AS zeros
    FROM taken
    GROUP BY ALL
)
SELECT
    plain.time,
    plain.series,
    plain.points,
    plain.value,
    plain.last,
    plain.delta,
    plain.count,
    plain.total,
    plain.smallest,
    plain.largest,
    list_transform(range(lists.low, lists.high + 1), lambda place: coalesce(lists.counts[place], 0)) AS buckets,
    CASE WHEN plain.exponential THEN lists.low END::INTEGER AS first_bucket,
    plain.zeros
FROM plain
LEFT JOIN lists USING (time, series);
