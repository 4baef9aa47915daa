SELECT
    coalesce(nullif(application_name, ''), client_addr::text, 'replica') AS name, state,
    CASE WHEN replay_lsn = sent_lsn THEN 0 ELSE extract(epoch FROM replay_lag)::float8 END AS seconds,
    pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint AS bytes
FROM pg_stat_replication
LIMIT 50
