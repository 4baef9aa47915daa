-- One operation.
SELECT id AS operation, service, category, name, system, text, first_seen
FROM operations
WHERE id = $operation
