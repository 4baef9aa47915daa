"""What is measured: the registry of instruments, the import hook, then one module a library."""
