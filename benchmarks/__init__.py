"""What perfagent costs a program, measured side by side with no agent and with its peers."""
