-- What nothing refers to any more: operations, series and processes whose last hour is past its retention.
DELETE FROM operations
WHERE
    NOT EXISTS (FROM spans WHERE spans.operation = operations.id)
    AND NOT EXISTS (FROM span_minutes WHERE span_minutes.operation = operations.id)
    AND NOT EXISTS (FROM span_hours WHERE span_hours.operation = operations.id);

DELETE FROM series
WHERE
    NOT EXISTS (FROM points WHERE points.series = series.id)
    AND NOT EXISTS (FROM point_minutes WHERE point_minutes.series = series.id)
    AND NOT EXISTS (FROM point_hours WHERE point_hours.series = series.id);

DELETE FROM resources
WHERE
    NOT EXISTS (FROM spans WHERE spans.resource = resources.id)
    AND NOT EXISTS (FROM logs WHERE logs.resource = resources.id)
    AND NOT EXISTS (FROM log_minutes WHERE log_minutes.resource = resources.id)
    AND NOT EXISTS (FROM series WHERE series.resource = resources.id)
    AND NOT EXISTS (FROM profile_minutes WHERE profile_minutes.resource = resources.id)
    AND NOT EXISTS (FROM profile_hours WHERE profile_hours.resource = resources.id);

CREATE OR REPLACE TEMP TABLE used AS
SELECT DISTINCT stack, context FROM profile_samples
UNION
SELECT DISTINCT stack, context FROM profile_minutes
UNION
SELECT DISTINCT stack, context FROM profile_hours;

DELETE FROM profile_contexts WHERE id NOT IN (SELECT context FROM used);

DELETE FROM stacks WHERE id NOT IN (SELECT stack FROM used);

DELETE FROM stack_nodes WHERE id NOT IN (SELECT unnest(nodes) FROM stacks);

DELETE FROM frames WHERE id NOT IN (SELECT frame FROM stack_nodes)
