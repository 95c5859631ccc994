"""The scanner's screen: where the ultrasound picture is in it, where letters are, and what may leave the machine."""
