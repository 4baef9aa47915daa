-- Services by how many requests they had.
SELECT operations.service, sum(span_minutes.calls) AS calls
FROM span_minutes
JOIN operations ON operations.id = span_minutes.operation
WHERE operations.category IN ('server', 'consumer')
GROUP BY operations.service
ORDER BY calls DESC
LIMIT $most
