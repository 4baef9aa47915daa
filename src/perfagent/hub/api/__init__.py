"""What the hub answers: the REST interface, live events, health and the page's files."""
