-- What people are to be told and nobody has taken yet.
SELECT id, content
FROM alert_events
ORDER BY time, id
