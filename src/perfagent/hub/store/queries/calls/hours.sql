-- Until when hours are rolled up, seconds since the epoch.
SELECT hours AS until
FROM progress
