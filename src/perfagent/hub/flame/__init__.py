"""Profiles as files of other tools, pictures and text; the standard library alone, for the command line too."""
