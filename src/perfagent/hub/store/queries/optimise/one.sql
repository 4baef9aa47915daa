-- One action.
SELECT content
FROM actions
WHERE id = $id
