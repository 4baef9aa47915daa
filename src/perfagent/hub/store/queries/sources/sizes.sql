-- The mean size of the bodies of each endpoint's requests and answers, as agents tell them.
WITH chosen AS MATERIALIZED (
    SELECT
        id,
        service,
        name,
        trim(concat_ws(
            ' ',
            json_extract_string(attributes, '$."http.request.method"'),
            json_extract_string(attributes, '$."http.route"')
        )) AS endpoint
    FROM series
    WHERE name IN ('http.server.response.body.size', 'http.server.request.body.size')
)
SELECT chosen.service, chosen.endpoint, chosen.name, sum(points.total) / sum(points.count) AS bytes
FROM metric_points($since, $until, $hours_since, $hours_until) AS points
JOIN chosen ON chosen.id = points.series
WHERE points.count > 0
GROUP BY ALL
