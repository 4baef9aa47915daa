SELECT
    i.schemaname AS schema, i.relname AS table, i.indexrelname AS index, c.relpages::bigint * current_setting('block_size')::int AS bytes,
    t.n_tup_ins + t.n_tup_upd + t.n_tup_del AS writes,
    (SELECT extract(epoch FROM stats_reset)::float8 FROM pg_stat_database WHERE datname = current_database()) AS since
FROM pg_stat_user_indexes AS i
JOIN pg_class AS c ON c.oid = i.indexrelid
JOIN pg_index AS x ON x.indexrelid = i.indexrelid
JOIN pg_stat_user_tables AS t ON t.relid = i.relid
WHERE
    i.idx_scan = 0
    AND NOT x.indisunique AND NOT x.indisprimary AND NOT x.indisexclusion AND x.indisvalid AND NOT x.indisreplident
    AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid)
    AND NOT EXISTS (SELECT FROM pg_inherits AS h WHERE h.inhrelid = i.indexrelid)
    AND c.relpages::bigint * current_setting('block_size')::int >= %(bytes)s
ORDER BY bytes DESC
LIMIT 100
