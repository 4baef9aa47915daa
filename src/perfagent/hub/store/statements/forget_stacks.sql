-- The $most stacks that were seen last the longest ago, with their samples: a program that makes functions as it runs
-- brings new ones for ever.
CREATE OR REPLACE TEMP TABLE silent AS
SELECT stacks.id
FROM stacks
LEFT JOIN (SELECT stack, max(minute) AS seen FROM profile_minutes GROUP BY stack) AS minutes ON minutes.stack = stacks.id
LEFT JOIN (SELECT stack, max(hour) AS seen FROM profile_hours GROUP BY stack) AS hours ON hours.stack = stacks.id
ORDER BY greatest(minutes.seen, hours.seen) NULLS FIRST
LIMIT $most;

DELETE FROM profile_samples WHERE stack IN (SELECT id FROM silent);

DELETE FROM profile_minutes WHERE stack IN (SELECT id FROM silent);

DELETE FROM profile_hours WHERE stack IN (SELECT id FROM silent)
