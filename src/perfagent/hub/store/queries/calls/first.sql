-- Where roll-ups of calls begin, seconds since the epoch.
SELECT least((SELECT min(minute) FROM span_minutes), (SELECT min(hour) FROM span_hours)) AS first
