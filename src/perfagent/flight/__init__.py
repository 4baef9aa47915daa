"""What a process was doing when it died: a file in memory that it writes as it works, and who finds it afterwards."""
