SELECT
    coalesce(schema_name, '') AS db, digest, max(digest_text) AS statement, sum(count_star) AS calls,
    sum(sum_timer_wait) / 1e9 AS total_ms, max(max_timer_wait) / 1e9 AS max_ms,
    sum(sum_rows_sent + sum_rows_affected) AS returned, sum(sum_no_index_used) AS no_index
FROM performance_schema.events_statements_summary_by_digest
WHERE digest IS NOT NULL
GROUP BY schema_name, digest
