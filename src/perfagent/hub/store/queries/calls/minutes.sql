-- The minutes of a range in which there were requests.
SELECT DISTINCT minutes.minute
FROM span_minutes AS minutes
JOIN operations ON operations.id = minutes.operation
WHERE
    minutes.minute >= $begin AND minutes.minute < $end
    AND operations.category IN ('server', 'consumer')
    AND ($service IS NULL OR operations.service = $service)
