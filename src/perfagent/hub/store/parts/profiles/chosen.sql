-- The contexts that a question is about: a type, and labels where they are asked for.
chosen AS (
    SELECT id
    FROM profile_contexts
    WHERE
        kind = $kind
        AND ($endpoint IS NULL OR endpoint = $endpoint)
        AND ($thread IS NULL OR thread = $thread)
        AND ($task IS NULL OR task = $task)
        AND ($state IS NULL OR state = $state)
)
