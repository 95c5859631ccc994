"""OpenIGTLink, which 3D Slicer and PLUS speak: its addresses and its bytes; no sockets."""
