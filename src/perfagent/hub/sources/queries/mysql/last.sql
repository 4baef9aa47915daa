SELECT t.processlist_id AS thread, e.sql_text AS statement
FROM performance_schema.threads AS t
JOIN performance_schema.events_statements_current AS e ON e.thread_id = t.thread_id
WHERE t.processlist_id IN %(threads)s
