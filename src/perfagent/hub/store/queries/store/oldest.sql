-- The oldest of what arrived, ns since the epoch.
SELECT
    least(
        (SELECT min(started) FROM spans),
        (SELECT min(time) FROM logs),
        (SELECT min(time) FROM points),
        (SELECT min(time) FROM profile_samples)
    ) AS oldest_ns
