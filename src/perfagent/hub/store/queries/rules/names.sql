-- Every metric that was ever told.
SELECT DISTINCT name
FROM series
ORDER BY name
