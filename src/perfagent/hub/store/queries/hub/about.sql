-- The oldest span that is kept, the version of the schema, and how many processes of programs there ever were.
SELECT
    (SELECT min(started) FROM spans) AS oldest,
    (SELECT max(number) FROM migrations) AS schema,
    (
        SELECT count(*)::INTEGER
        FROM resources
        WHERE json_extract_string(attributes, '$."perfagent.source.kind"') IS NULL
    ) AS programs
