SELECT
    u.object_schema AS schema_name, u.object_name AS table_name, u.index_name AS index_name,
    coalesce(max(s.stat_value) * @@innodb_page_size, 0) AS bytes,
    coalesce((
        SELECT sum(t.count_insert + t.count_update + t.count_delete)
        FROM performance_schema.table_io_waits_summary_by_table AS t
        WHERE t.object_schema = u.object_schema AND t.object_name = u.object_name
    ), 0) AS writes
FROM performance_schema.table_io_waits_summary_by_index_usage AS u
JOIN information_schema.statistics AS i
    ON i.table_schema = u.object_schema AND i.table_name = u.object_name AND i.index_name = u.index_name
LEFT JOIN mysql.innodb_index_stats AS s
    ON s.database_name = u.object_schema AND s.table_name = u.object_name AND s.index_name = u.index_name
    AND s.stat_name = 'size'
WHERE
    u.index_name IS NOT NULL AND u.index_name <> 'PRIMARY' AND u.count_star = 0 AND i.non_unique = 1
    AND u.object_schema NOT IN ('mysql', 'sys', 'performance_schema', 'information_schema')
GROUP BY u.object_schema, u.object_name, u.index_name
LIMIT 100
