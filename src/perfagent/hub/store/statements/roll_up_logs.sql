INSERT INTO log_minutes
SELECT time // 60_000_000_000 * 60, resource, severity, count(*)
FROM incoming
GROUP BY 1, 2, 3
