-- Processes by service, instance and version.
SELECT id, service, instance, version
FROM resources
WHERE
    ($service IS NULL OR service = $service)
    AND ($instance IS NULL OR instance = $instance)
    AND ($version IS NULL OR version = $version)
ORDER BY first_seen DESC
LIMIT 5000
