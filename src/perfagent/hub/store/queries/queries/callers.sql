-- Where statements are run from, the 10 most frequent places of each; not every span tells it.
SELECT operation, caller, sum(weight) AS calls
FROM spans
WHERE
    started >= $begin_ns AND started < $end_ns
    AND operation IN (SELECT unnest($operations))
    AND caller IS NOT NULL
GROUP BY operation, caller
QUALIFY row_number() OVER (PARTITION BY operation ORDER BY sum(weight) DESC, caller) <= 10
ORDER BY calls DESC
