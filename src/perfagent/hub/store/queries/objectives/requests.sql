-- Requests of a service by step, and how many of them were bad, from the histogram that programs count every request in:
-- failed ones where $threshold is null, else those beyond it (in seconds). Series without that bound cannot tell.
WITH chosen AS MATERIALIZED (
    SELECT
        id,
        coalesce(json_extract_string(attributes, '$."http.response.status_code"'), '') LIKE '5__' AS failed,
        list_position(bounds, $threshold) AS place
    FROM series
    WHERE
        name = 'http.server.request.duration'
        AND service = $service
        AND ($route IS NULL OR json_extract_string(attributes, '$."http.route"') = $route)
        AND ($threshold IS NULL OR list_contains(bounds, $threshold))
)
SELECT
    points.time // $step * $step AS time,
    sum(points.count)::DOUBLE AS requests,
    sum(
        CASE
            WHEN $threshold IS NULL THEN if(chosen.failed, points.count, 0)
            ELSE points.count - coalesce(list_sum(points.buckets[1:chosen.place]), 0)
        END
    )::DOUBLE AS bad
FROM metric_points($since, $until, $hours_since, $hours_until) AS points
JOIN chosen ON chosen.id = points.series
WHERE points.count > 0
GROUP BY 1
ORDER BY 1
