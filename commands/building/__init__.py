"""Options of `smartca build` and `smartca calibrate` that are many."""
