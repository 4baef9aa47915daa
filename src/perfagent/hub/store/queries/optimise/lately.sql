-- What was advised and done since a moment, the newest first.
SELECT time, rule, service, action, state, effect
FROM actions
WHERE time >= $since
ORDER BY time DESC, id DESC
