-- Where statements were run from most often, and the loop that ran them again and again.
SELECT
    operation,
    mode(caller) AS caller,
    mode(
        json_extract_string(attributes, '$."perfagent.loop.file.path"')
        || ':' || json_extract_string(attributes, '$."perfagent.loop.line.number"')
        || ' ' || json_extract_string(attributes, '$."perfagent.loop.function.name"')
    ) FILTER (contains(attributes, '"perfagent.loop.file.path"')) AS loop
FROM spans
WHERE
    started >= $begin_ns AND started < $end_ns
    AND operation IN (SELECT unnest($operations))
    AND caller IS NOT NULL
GROUP BY operation
