-- Writes down what is to be delivered; what is there already stays as it is.
INSERT OR IGNORE INTO deliveries BY NAME
SELECT
    $event AS event,
    $channel AS channel,
    $incident AS incident,
    $happening AS happening,
    $severity AS severity,
    $title AS title,
    $happened AS happened,
    $taken AS taken,
    $state AS state,
    $attempts AS attempts,
    $due AS due,
    $ended AS ended,
    $error AS error,
    $content AS content
