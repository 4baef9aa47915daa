-- The alerts that the engine goes on with: all that last or whose incident is open, and those of late, the newest.
SELECT alerts.id, alerts.incident, alerts.watcher, alerts.content
FROM alerts
JOIN incidents ON incidents.id = alerts.incident
WHERE alerts.until IS NULL OR alerts.until >= $since OR NOT incidents.closed
ORDER BY coalesce(alerts.until, 1e18) DESC, alerts.since
LIMIT $most
