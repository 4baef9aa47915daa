-- A replica that has replayed all that it received is not behind, as long as it receives.
SELECT
    CASE
        WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() AND EXISTS (SELECT FROM pg_stat_wal_receiver) THEN 0
        ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8
    END AS seconds,
    pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::bigint AS bytes,
    CASE WHEN EXISTS (SELECT FROM pg_stat_wal_receiver) THEN 'receives' ELSE 'disconnected' END AS state
