-- The earliest minute that was stored since the last look.
SELECT earliest
FROM alert_progress
