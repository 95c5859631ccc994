"""The commands, one file for each floor of the house; `cli` imports them when they are called."""
