-- What happened to an incident.
SELECT time, number, alert, what, text, role, note
FROM incident_entries
WHERE incident = $incident
ORDER BY time, number
