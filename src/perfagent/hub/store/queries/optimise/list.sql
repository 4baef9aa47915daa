-- Actions, the newest first, before the one at ($before, $id).
SELECT time, id, content
FROM actions
WHERE
    ($rule IS NULL OR rule = $rule)
    AND ($service IS NULL OR service = $service)
    AND ($state IS NULL OR state = $state)
    AND ($before IS NULL OR time < $before OR (time = $before AND id < $id))
ORDER BY time DESC, id DESC
LIMIT $limit
