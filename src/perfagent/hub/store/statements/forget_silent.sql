-- The $most series that are silent longest and have no points any more, with their roll-ups: each start of a process
-- brings some hundred new ones.
CREATE OR REPLACE TEMP TABLE silent AS
SELECT series.id
FROM series
LEFT JOIN (SELECT series, max(hour) AS seen FROM point_hours GROUP BY series) AS hours ON hours.series = series.id
WHERE NOT EXISTS (FROM points WHERE points.series = series.id)
ORDER BY hours.seen NULLS FIRST
LIMIT $most;

DELETE FROM point_minutes WHERE series IN (SELECT id FROM silent);

DELETE FROM point_hours WHERE series IN (SELECT id FROM silent);

DELETE FROM series WHERE id IN (SELECT id FROM silent)
