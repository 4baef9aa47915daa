-- The series of a metric, with what tells their processes apart.
SELECT
    series.id,
    series.service,
    series.kind,
    series.unit,
    series.monotonic,
    series.attributes,
    resources.id AS resource,
    resources.instance,
    resources.version,
    resources.environment,
    resources.attributes AS process
FROM series
JOIN resources ON resources.id = series.resource
WHERE
    series.name = $name
    AND ($service IS NULL OR series.service = $service)
    AND ($resource IS NULL OR series.resource = $resource)
ORDER BY series.first_seen DESC, series.id
LIMIT $limit
