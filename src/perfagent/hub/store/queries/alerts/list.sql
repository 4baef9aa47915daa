-- Alerts that lasted at some time since $since, the active ones first, the most severe of them first.
SELECT id, identity, incident, state, content
FROM alerts
WHERE
    ($id IS NULL OR id = $id)
    AND ($incident IS NULL OR incident = $incident)
    AND ($service IS NULL OR service = $service)
    AND ($severity IS NULL OR severity = $severity)
    AND ($kind IS NULL OR kind = $kind)
    AND (until IS NULL OR until >= $since)
    AND (NOT $active_only OR state IN ('firing', 'acknowledged', 'escalated'))
ORDER BY
    until IS NOT NULL,
    CASE WHEN until IS NULL THEN list_position(['critical', 'high', 'warning', 'medium', 'low'], severity) END,
    since DESC,
    id
LIMIT $limit OFFSET $offset
