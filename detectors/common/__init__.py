"""What our detectors share: the RE2 gate, the time budget, options and the resolution of overlaps."""
