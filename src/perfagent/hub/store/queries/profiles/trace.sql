-- The samples of one trace, with their moments.
SELECT
    profile_samples.time,
    profile_samples.duration,
    profile_samples.times,
    profile_samples.value,
    profile_samples.samples,
    profile_samples.span_id,
    profile_samples.resource,
    profile_contexts.kind,
    profile_contexts.thread,
    profile_contexts.task,
    profile_contexts.state,
    stacks.frames,
    stacks.lines
FROM profile_samples
JOIN profile_contexts ON profile_contexts.id = profile_samples.context
JOIN stacks ON stacks.id = profile_samples.stack
WHERE profile_samples.trace_id = $trace_id AND ($kind IS NULL OR profile_contexts.kind = $kind)
ORDER BY profile_samples.time
LIMIT $most
