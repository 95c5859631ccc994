"""From fp32 to INT8: pictures, ranges, the quantised network, the gate that judges it, its report."""
