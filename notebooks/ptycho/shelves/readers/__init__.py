"""Readers of files: `name(path, **options) -> Scan`, or a KeyError, OSError or ValueError for what is not theirs."""
