-- Changes, the latest first, after the one at ($before, $position) where that is given.
SELECT rowid AS position, time, role, client, action, subject, before, after
FROM audit
WHERE
    time >= $begin
    AND time < $end
    AND ($before IS NULL OR (time, rowid) < ($before, $position))
ORDER BY time DESC, rowid DESC
LIMIT $limit
