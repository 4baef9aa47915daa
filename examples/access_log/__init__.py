"""A consumer of access events, as a team would write it: it knows Kafka and SQLite, and nothing of who measures it."""
