"""SMART-CA and its loss, learnt from phantoms and from labelled pictures. torch lives here."""
