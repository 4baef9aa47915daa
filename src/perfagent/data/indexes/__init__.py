"""Index advice for PostgreSQL, MySQL, MariaDB and SQLite: what is missing, unused, duplicate or invalid, and why."""
