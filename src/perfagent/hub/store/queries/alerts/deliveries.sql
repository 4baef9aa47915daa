-- Which channels told of an incident, or could not.
SELECT channel, happening, state, ended, error
FROM deliveries
WHERE incident = $incident AND state IN ('delivered', 'failed') AND ended IS NOT NULL
