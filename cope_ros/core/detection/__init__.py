"""COPE's single pass: locations, decoding, clustering, averaging (paper, section 3.1)."""
