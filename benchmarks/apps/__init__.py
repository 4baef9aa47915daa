"""The programs under load: plain web applications that know nothing of any agent."""
