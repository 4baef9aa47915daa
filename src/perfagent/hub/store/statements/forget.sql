-- What is older than its retention; bounds in ns for what arrived, in s for roll-ups.
DELETE FROM spans WHERE started < $raw_ns;

DELETE FROM logs WHERE time < $raw_ns;

DELETE FROM points WHERE time < $raw_ns;

DELETE FROM sketches WHERE time < $raw_ns;

DELETE FROM seen WHERE time < $raw_ns;

DELETE FROM profile_samples WHERE time < $raw_ns;

DELETE FROM profile_minutes WHERE minute < $minutes;

DELETE FROM profile_hours WHERE hour < $hours;

DELETE FROM span_minutes WHERE minute < $minutes;

DELETE FROM point_minutes WHERE minute < $minutes;

DELETE FROM log_minutes WHERE minute < $minutes;

DELETE FROM span_hours WHERE hour < $hours;

DELETE FROM point_hours WHERE hour < $hours;

DELETE FROM audit WHERE time < $hours::BIGINT * 1_000_000_000
