-- Points of browsers' measurements that bear traces: of one page, of one trace, or of all; the newest first.
SELECT series.service, series.name, series.attributes, points.time, points.exemplars
FROM points
JOIN series ON series.id = points.series
WHERE
    points.time >= $begin_ns AND points.time < $end_ns
    AND points.exemplars IS NOT NULL
    AND series.scope = 'perfagent.client'
    AND ($service IS NULL OR series.service = $service)
    AND ($page IS NULL OR json_extract_string(series.attributes, 'page') = $page)
    AND ($trace_id IS NULL OR contains(points.exemplars, $trace_id))
ORDER BY points.time DESC
LIMIT $most
