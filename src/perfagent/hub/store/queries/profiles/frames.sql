-- The functions of some identities.
SELECT id, function, file, line
FROM frames
WHERE list_contains($ids, id)
