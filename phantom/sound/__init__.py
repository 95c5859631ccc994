"""What a scanner makes of the shoulder: pulse and beam, attenuation and shadow, specular echoes, speckle, grey."""
