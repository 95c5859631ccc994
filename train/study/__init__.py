"""The comparison study: networks x losses x data sets x seeds, each trained once and scored under speckle."""
