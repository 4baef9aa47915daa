-- Deliveries, the latest first, after the one with the key ($before, $event, $of) where that is given.
SELECT event, channel, incident, happening, severity, title, happened, taken, state, attempts, due, ended, error
FROM deliveries
WHERE
    ($channel IS NULL OR channel = $channel)
    AND ($state IS NULL OR state = $state)
    AND ($incident IS NULL OR incident = $incident)
    AND ($before IS NULL OR (taken, event, channel) < ($before, $event, $of))
ORDER BY taken DESC, event DESC, channel DESC
LIMIT $limit
