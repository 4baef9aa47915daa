-- The last cumulative point of each series stays, unless its sender has been silent for a day.
CREATE OR REPLACE TEMP TABLE latest AS
SELECT series, max(time) AS time
FROM running
GROUP BY series
HAVING max(time) >= $since_ns;

DELETE FROM running
WHERE NOT EXISTS (FROM latest WHERE latest.series = running.series AND latest.time = running.time)
