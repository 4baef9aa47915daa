-- What is still to be delivered, in the order in which it came.
SELECT *
FROM deliveries
WHERE state = 'waiting'
ORDER BY taken, event
