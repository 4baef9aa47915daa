-- Takes away the alerts beyond the newest $most, and the incidents that have none any more with what happened to them.
DELETE FROM alerts
WHERE
    until IS NOT NULL
    AND id IN (SELECT id FROM alerts ORDER BY until DESC NULLS FIRST OFFSET $most);

DELETE FROM incidents WHERE NOT EXISTS (FROM alerts WHERE alerts.incident = incidents.id);

DELETE FROM incident_entries WHERE NOT EXISTS (FROM incidents WHERE incidents.id = incident_entries.incident)
