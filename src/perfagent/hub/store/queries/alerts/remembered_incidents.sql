-- What the engine knows of some incidents.
SELECT id, content
FROM incidents
WHERE id IN (SELECT unnest($ids))
