SELECT
    waiting.trx_mysql_thread_id AS blocked,
    blocking.trx_mysql_thread_id AS blocker,
    coalesce(greatest(timestampdiff(MICROSECOND, waiting.trx_wait_started, now(6)) / 1e6, 0), 0) AS seconds,
    coalesce(waiting.trx_query, '') AS statement,
    coalesce(blocking.trx_query, '') AS blocking_statement,
    greatest(timestampdiff(MICROSECOND, blocking.trx_started, now(6)) / 1e6, 0) AS blocking_seconds,
    coalesce(wanted.lock_mode, '') AS lock_mode,
    coalesce(concat(wanted.object_schema, '.', wanted.object_name), '') AS relation
FROM performance_schema.data_lock_waits AS w
JOIN information_schema.innodb_trx AS waiting ON waiting.trx_id = w.requesting_engine_transaction_id
JOIN information_schema.innodb_trx AS blocking ON blocking.trx_id = w.blocking_engine_transaction_id
LEFT JOIN performance_schema.data_locks AS wanted ON wanted.engine_lock_id = w.requesting_engine_lock_id
ORDER BY seconds DESC
LIMIT 200
