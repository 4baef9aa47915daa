SELECT
    w.requesting_trx_id AS waiting_trx,
    waiting.trx_mysql_thread_id AS blocked,
    blocking.trx_mysql_thread_id AS blocker,
    coalesce(greatest(timestampdiff(MICROSECOND, waiting.trx_wait_started, now(6)) / 1e6, 0), 0) AS seconds,
    coalesce(waiting.trx_query, '') AS statement,
    coalesce(blocking.trx_query, '') AS blocking_statement,
    greatest(timestampdiff(MICROSECOND, blocking.trx_started, now(6)) / 1e6, 0) AS blocking_seconds,
    coalesce(wanted.lock_mode, '') AS lock_mode,
    replace(coalesce(wanted.lock_table, ''), '`', '') AS relation
FROM information_schema.innodb_lock_waits AS w
JOIN information_schema.innodb_trx AS waiting ON waiting.trx_id = w.requesting_trx_id
JOIN information_schema.innodb_trx AS blocking ON blocking.trx_id = w.blocking_trx_id
LEFT JOIN information_schema.innodb_locks AS wanted ON wanted.lock_id = w.requested_lock_id
ORDER BY seconds DESC
LIMIT 200
