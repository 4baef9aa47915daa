SELECT s.queryid, s.dbid::bigint AS dbid, d.datname AS database, min(s.query) AS query
FROM {schema}.pg_stat_statements(true) AS s
LEFT JOIN pg_database AS d ON d.oid = s.dbid
WHERE s.queryid = ANY(%(ids)s)
GROUP BY 1, 2, 3
