"""Everything between a scanner and an eye: attach, serve, view."""

FRAMES_AT, ANSWERS_AT = "tcp://127.0.0.1:5555", "tcp://127.0.0.1:5556"  # where the processes meet unless told
