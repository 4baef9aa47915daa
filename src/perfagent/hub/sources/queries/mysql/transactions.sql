SELECT
    trx_mysql_thread_id AS pid,
    greatest(timestampdiff(MICROSECOND, trx_started, now(6)) / 1e6, 0) AS seconds,
    trx_state AS state,
    coalesce(trx_query, '') AS statement
FROM information_schema.innodb_trx
WHERE trx_started < now() - INTERVAL %(seconds)s SECOND AND trx_mysql_thread_id NOT IN (0, connection_id())
ORDER BY trx_started
LIMIT 50
