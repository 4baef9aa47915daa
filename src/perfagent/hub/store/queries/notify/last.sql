-- What came of each channel's messages: the last that was delivered, and the last that was not.
SELECT
    channel,
    max(ended) FILTER (WHERE state IN ('delivered', 'folded')) AS delivered,
    arg_max(error, ended) FILTER (WHERE state = 'failed') AS error,
    max(ended) FILTER (WHERE state = 'failed') AS failed
FROM deliveries
GROUP BY channel
