-- Which service calls which: spans whose parent is a span of another service, of the newest $most that were called from
-- elsewhere.
WITH called AS (
    SELECT trace_id, parent_id, resource
    FROM spans
    WHERE started >= $begin_ns AND parent_id IS NOT NULL AND entry
    ORDER BY started DESC
    LIMIT $most
)
SELECT DISTINCT callers.service AS caller, callees.service AS callee
FROM called
JOIN spans AS parents
    ON parents.trace_id = called.trace_id AND parents.span_id = called.parent_id AND parents.started >= $begin_ns
JOIN resources AS callers ON callers.id = parents.resource
JOIN resources AS callees ON callees.id = called.resource
WHERE callers.service <> callees.service
