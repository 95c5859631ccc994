"""The command line: one file a command. cli.py imports one when it is called."""
