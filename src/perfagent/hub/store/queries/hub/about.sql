-- The oldest span that is kept, and the version of the schema.
SELECT
    (SELECT min(started) FROM spans) AS oldest,
    (SELECT max(number) FROM migrations) AS schema
