"""What the hub knows, as tools for coding assistants: the Model Context Protocol at `/mcp`, read-only."""
