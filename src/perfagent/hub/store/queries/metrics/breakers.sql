-- State changes of circuit breakers, by name and state.
SELECT
    json_extract_string(series.attributes, '$.name') AS name,
    json_extract_string(series.attributes, '$.state') AS state,
    sum(point_minutes.delta) AS transitions
FROM series
JOIN point_minutes ON point_minutes.series = series.id
WHERE list_contains($names, series.name) AND point_minutes.minute >= $since
GROUP BY ALL
ORDER BY ALL
LIMIT 3000
