-- Incidents that lasted at some time since $since, the active ones first, the most severe of them first.
SELECT
    incidents.*,
    (SELECT count(*) FROM alerts WHERE alerts.incident = incidents.id) AS alerts,
    coalesce(
        (
            SELECT bool_and(json_extract_string(alerts.content, '$.muted') <> '')
            FROM alerts
            WHERE alerts.incident = incidents.id AND alerts.until IS NULL
        ),
        FALSE
    ) AS muted
FROM incidents
WHERE
    ($id IS NULL OR id = $id)
    AND ($service IS NULL OR list_contains(services, $service))
    AND ($severity IS NULL OR severity = $severity)
    AND (until IS NULL OR until >= $since)
    AND (NOT $active_only OR state IN ('firing', 'acknowledged', 'escalated'))
ORDER BY
    until IS NOT NULL,
    CASE WHEN until IS NULL THEN list_position(['critical', 'high', 'warning', 'medium', 'low'], severity) END,
    since DESC,
    id
LIMIT $limit OFFSET $offset
