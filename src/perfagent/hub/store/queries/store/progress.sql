-- How far the upkeep has come, and where it begins where it has done nothing yet; seconds since the epoch.
SELECT
    minutes,
    hours,
    least(
        (SELECT min(minute) FROM span_minutes),
        (SELECT min(minute) FROM point_minutes),
        (SELECT min(minute) FROM profile_minutes)
    ) AS first_minute
FROM progress
