-- How many alerts and incidents are active.
SELECT
    (SELECT count(*) FROM alerts WHERE state IN ('firing', 'acknowledged', 'escalated')) AS alerts,
    (SELECT count(*) FROM incidents WHERE state IN ('firing', 'acknowledged', 'escalated')) AS incidents
