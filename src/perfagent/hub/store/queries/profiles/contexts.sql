-- What there are profiles of in a range: sums by context and process.
WITH {profiles/told}
SELECT
    profile_contexts.kind,
    profile_contexts.unit,
    profile_contexts.endpoint,
    profile_contexts.thread,
    profile_contexts.task,
    profile_contexts.state,
    told.resource,
    sum(told.value)::DOUBLE AS value,
    least(sum(told.samples), 9000000000000000000)::BIGINT AS samples,
    min(told.moment) AS earliest,
    max(told.moment) AS latest
FROM told
JOIN profile_contexts ON profile_contexts.id = told.context
WHERE list_contains($resources, told.resource)
GROUP BY ALL
ORDER BY value DESC
LIMIT $most
