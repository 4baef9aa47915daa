"""What is run while developing perfagent; none of it is installed."""
