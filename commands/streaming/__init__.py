"""Commands of the live stream: the run, its three processes, and who may come in."""
