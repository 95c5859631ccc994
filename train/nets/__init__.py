"""Networks, by name: SMART-CA, its encoders, and those it is compared with."""
