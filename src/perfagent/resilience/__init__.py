"""What keeps a program standing when something that it needs does not: breakers, budgets, lag."""
