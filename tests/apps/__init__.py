"""Programs that the tests run under perfagent; none of them knows it."""
