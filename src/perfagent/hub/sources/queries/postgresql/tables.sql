SELECT
    t.schemaname AS schema, t.relname AS table, t.seq_scan, t.seq_tup_read, coalesce(t.idx_scan, 0) AS idx_scan,
    t.n_live_tup AS live, t.n_dead_tup AS dead, c.relpages::bigint * current_setting('block_size')::int AS bytes,
    extract(epoch FROM greatest(t.last_vacuum, t.last_autovacuum))::float8 AS last_vacuum,
    t.vacuum_count + t.autovacuum_count AS vacuums,
    CASE
        WHEN coalesce((
            SELECT option_value FROM pg_options_to_table(c.reloptions) WHERE option_name = 'autovacuum_enabled'
        ), current_setting('autovacuum')) IN ('off', 'false') THEN NULL
        ELSE coalesce((
            SELECT option_value::float8 FROM pg_options_to_table(c.reloptions)
            WHERE option_name = 'autovacuum_vacuum_threshold'
        ), current_setting('autovacuum_vacuum_threshold')::float8) + greatest(c.reltuples, 0) * coalesce((
            SELECT option_value::float8 FROM pg_options_to_table(c.reloptions)
            WHERE option_name = 'autovacuum_vacuum_scale_factor'
        ), current_setting('autovacuum_vacuum_scale_factor')::float8)
    END AS threshold
FROM pg_stat_user_tables AS t
JOIN pg_class AS c ON c.oid = t.relid
ORDER BY c.relpages DESC, t.relid -- the same ones in each look, for what they add up
LIMIT 200
