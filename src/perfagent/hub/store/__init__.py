"""What the hub keeps: a DuckDB file, its schema and queries in .sql files, roll-ups and retention."""
