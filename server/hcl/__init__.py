"""HCL: scanner, parser and source ranges."""
