-- How many of each kind a source saw when: the latest 1000 changes, in the order of time.
SELECT time, kind, found
FROM (
    SELECT time / 1e9 AS time, kind, json_array_length(content)::INTEGER AS found
    FROM seen
    WHERE source = $source AND time >= $since_ns AND time < $until_ns
    ORDER BY time DESC
    LIMIT 1000
)
ORDER BY time, kind
