-- The series of the metrics $names, with what their processes tell of themselves. The newest of too many.
SELECT
    series.id,
    series.name,
    series.service,
    series.kind,
    series.unit,
    series.monotonic,
    series.attributes,
    resources.instance,
    resources.version,
    resources.environment,
    resources.attributes AS process
FROM series
JOIN resources ON resources.id = series.resource
WHERE list_contains($names, series.name)
ORDER BY series.first_seen DESC, series.id
LIMIT $limit
