-- What channels were told of an incident, the latest first.
SELECT event, channel, happening, severity, state, taken
FROM deliveries
WHERE incident = $incident
ORDER BY taken DESC
