-- Actions that something is still to be done about.
SELECT content
FROM actions
WHERE state IN ('acting', 'acted', 'undoing')
ORDER BY time, id
