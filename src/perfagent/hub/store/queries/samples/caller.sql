-- Where statements were run from most often.
SELECT operation, mode(caller) AS caller
FROM spans
WHERE
    started >= $begin_ns AND started < $end_ns
    AND operation IN (SELECT unnest($operations))
    AND caller IS NOT NULL
GROUP BY operation
