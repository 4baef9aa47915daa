-- What was counted since a minute, by service: requests by duration, and how many calls there were at all.
WITH buckets AS (
    SELECT
        operations.service,
        operations.category IN ('server', 'consumer') AS request,
        span_minutes.bucket,
        sum(span_minutes.calls) AS calls,
        sum(span_minutes.errors) AS errors,
        sum(span_minutes.total) AS total,
        max(span_minutes.longest) AS longest
    FROM span_minutes
    JOIN operations ON operations.id = span_minutes.operation
    WHERE span_minutes.minute >= $since
    GROUP BY ALL
)
SELECT
    service,
    request,
    sum(calls)::BIGINT AS spans,
    sum(calls) AS calls,
    coalesce(sum(errors), 0) AS errors,
    sum(total) AS total,
    max(longest) AS longest,
    list(bucket) AS buckets,
    list(calls) AS counts
FROM buckets
GROUP BY service, request
