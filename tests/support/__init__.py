"""What several tests need: small networks, frames with known contents, servers and devices of their own."""
