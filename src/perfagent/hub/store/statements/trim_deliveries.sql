-- Keeps the newest of what is over, and all that still waits.
DELETE FROM deliveries
WHERE state <> 'waiting' AND taken < (SELECT taken FROM deliveries ORDER BY taken DESC LIMIT 1 OFFSET $most)
