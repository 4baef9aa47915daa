-- What became of an attempt.
UPDATE deliveries
SET state = $state, attempts = $attempts, due = $due, ended = $ended, error = $error, content = $content
WHERE event = $event AND channel = $channel
