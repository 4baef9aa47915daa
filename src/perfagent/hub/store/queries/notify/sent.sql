-- When each channel was sent a message lately, one row a message, and what it told: a digest has several.
SELECT channel, ended, count(*)::INTEGER AS told
FROM deliveries
WHERE state IN ('delivered', 'folded') AND ended >= $since AND happening <> 'test'
GROUP BY channel, ended
ORDER BY ended
