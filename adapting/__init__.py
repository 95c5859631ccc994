"""A clinic's few labelled frames make the network its own: learnt, calibrated, judged, shown before and after."""
