SELECT
    s.queryid, s.dbid::bigint AS dbid, s.userid::bigint AS userid, sum(s.calls)::bigint AS calls,
    sum(s.{total})::float8 AS total_ms, max(s.{longest})::float8 AS max_ms, sum(s.rows)::bigint AS rows
FROM {schema}.pg_stat_statements(false) AS s
WHERE s.queryid IS NOT NULL
GROUP BY 1, 2, 3
