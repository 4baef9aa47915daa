SELECT
    current_setting('server_version_num')::int AS version,
    current_setting('server_version') AS version_name,
    current_setting('max_connections')::int AS max_connections,
    current_database() AS database,
    extract(epoch FROM pg_postmaster_start_time())::float8 AS started,
    pg_is_in_recovery() AS is_replica,
    pg_has_role(current_user, 'pg_monitor', 'MEMBER') AS may_all,
    (
        SELECT quote_ident(n.nspname)
        FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
        WHERE e.extname = 'pg_stat_statements'
    ) AS statements
