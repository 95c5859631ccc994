"""The processes of a run, and who watches over them."""
