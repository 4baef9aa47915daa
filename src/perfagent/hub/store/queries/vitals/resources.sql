-- Processes, the newest first.
SELECT id, service, instance, version, environment, attributes, first_seen
FROM resources
WHERE ($service IS NULL OR service = $service)
ORDER BY first_seen DESC
LIMIT 1000
