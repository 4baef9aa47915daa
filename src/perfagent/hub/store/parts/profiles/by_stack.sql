-- Sums by stack of the side that is asked for (`now`) and of the one that it is compared with (`before`).
by_stack AS MATERIALIZED (
    SELECT
        stack,
        sum(CASE WHEN moment >= $begin_ns AND moment < $end_ns AND list_contains($resources, resource) THEN value ELSE 0 END)
        AS now,
        sum(
            CASE
                WHEN moment >= $other_begin_ns AND moment < $other_end_ns AND list_contains($other_resources, resource) THEN value
                ELSE 0
            END
        ) AS before
    FROM told
    WHERE context IN (FROM chosen)
    GROUP BY stack
    HAVING now > 0 OR before > 0
)
