"""A small shop whose cart asks the database once for each line."""
