-- The series of what browsers measure.
SELECT id, service, name, attributes
FROM series
WHERE
    scope = 'perfagent.client'
    AND starts_with(name, 'browser.')
    AND ($service IS NULL OR service = $service)
ORDER BY first_seen DESC, id
LIMIT $limit
