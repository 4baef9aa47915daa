"""The language of rules: read into a tree, judged on minutes, or written as PromQL; never run as a program."""
