SELECT
    id, coalesce(user, '') AS user, coalesce(host, '') AS host, coalesce(db, '') AS db, command,
    coalesce(state, '') AS state, time AS seconds, coalesce(info, '') AS statement
FROM information_schema.processlist
WHERE command <> 'Daemon'
LIMIT 5000
