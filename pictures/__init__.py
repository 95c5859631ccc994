"""Files and arrays of pictures, masks and labels, and where in a picture the ultrasound is."""
