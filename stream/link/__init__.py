"""Messages between processes: bytes, sockets, credits and clocks."""
