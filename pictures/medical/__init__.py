"""What scanners and research software write: DICOM, MetaImage and NRRD."""
