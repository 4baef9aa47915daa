-- What spent a budget: bad requests by route and status, from the histogram; as in requests.sql.
WITH chosen AS MATERIALIZED (
    SELECT
        id,
        coalesce(json_extract_string(attributes, '$."http.request.method"'), '') AS method,
        coalesce(json_extract_string(attributes, '$."http.route"'), '') AS route,
        coalesce(json_extract_string(attributes, '$."http.response.status_code"'), '') AS code,
        list_position(bounds, $threshold) AS place
    FROM series
    WHERE
        name = 'http.server.request.duration'
        AND service = $service
        AND ($route IS NULL OR json_extract_string(attributes, '$."http.route"') = $route)
        AND ($threshold IS NULL OR list_contains(bounds, $threshold))
),
single AS (
    SELECT
        chosen.method,
        chosen.route,
        if($threshold IS NULL, chosen.code, '') AS code,
        points.count AS requests,
        CASE
            WHEN $threshold IS NULL THEN if(chosen.code LIKE '5__', points.count, 0)
            ELSE points.count - coalesce(list_sum(points.buckets[1:chosen.place]), 0)
        END AS bad
    FROM metric_points($since, $until, $hours_since, $hours_until) AS points
    JOIN chosen ON chosen.id = points.series
    WHERE points.count > 0
),
codes AS (
    SELECT method, route, code, sum(requests)::DOUBLE AS requests, sum(bad)::DOUBLE AS bad
    FROM single
    GROUP BY ALL
)
SELECT
    method,
    route,
    sum(requests) AS requests,
    sum(bad) AS bad,
    list(code ORDER BY bad DESC) FILTER (bad > 0 AND code <> '') AS codes,
    list(bad ORDER BY bad DESC) FILTER (bad > 0 AND code <> '') AS counts
FROM codes
GROUP BY ALL
HAVING sum(bad) > 0
ORDER BY bad DESC, route, method
LIMIT $most
