"""What the hub asks of agents: commands that wait for a process to fetch them, and what became of each."""
