"""Pictures and masks: folders, annotations, phantoms; what is done to them before they are learnt from."""
