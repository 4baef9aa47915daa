-- Log records by step and severity: OpenTelemetry's numbers in groups of four.
SELECT
    log_minutes.minute // $step * $step AS time,
    (log_minutes.severity + 3) // 4 AS severity,
    sum(log_minutes.records)::BIGINT AS records
FROM log_minutes
JOIN resources ON resources.id = log_minutes.resource
WHERE
    log_minutes.minute >= $first
    AND log_minutes.minute < $last
    AND ($service IS NULL OR resources.service = $service)
GROUP BY ALL
ORDER BY ALL
