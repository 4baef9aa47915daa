-- Some operations.
SELECT id AS operation, service, category, name, system, text, first_seen
FROM operations
WHERE id IN (SELECT unnest($operations))
