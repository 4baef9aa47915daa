-- What a source had seen last of each kind at a time.
SELECT kind, max(time) AS time, arg_max(content, time) AS content
FROM seen
WHERE source = $source AND time >= $since_ns AND time <= $until_ns
GROUP BY kind
ORDER BY kind
