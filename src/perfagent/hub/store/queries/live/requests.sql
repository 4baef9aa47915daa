-- What started within the last seconds, by service: requests by duration, and how many spans there were at all.
WITH recent AS (
    SELECT
        operations.service,
        operations.category IN ('server', 'consumer') AS request,
        spans.weight,
        spans.status = 2 AS failed,
        spans.duration,
        CASE WHEN spans.duration > 1 THEN floor(8 * log2(spans.duration))::INTEGER ELSE 0 END AS bucket
    FROM spans
    JOIN operations ON operations.id = spans.operation
    WHERE spans.started >= $begin AND spans.started < $end
),
buckets AS (
    SELECT
        service,
        request,
        bucket,
        count(*) AS spans,
        sum(weight) AS calls,
        sum(weight) FILTER (WHERE failed) AS errors,
        sum(weight * duration) AS total,
        max(duration) AS longest
    FROM recent
    GROUP BY ALL
)
SELECT
    service,
    request,
    sum(spans)::BIGINT AS spans,
    sum(calls) AS calls,
    coalesce(sum(errors), 0) AS errors,
    sum(total) AS total,
    max(longest) AS longest,
    list(bucket) AS buckets,
    list(calls) AS counts
FROM buckets
GROUP BY service, request
