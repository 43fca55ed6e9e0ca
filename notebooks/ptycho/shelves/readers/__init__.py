"""Readers of files: `name(path, **options) -> Scan`; a ScanError means its kind, but faulty, any other not its."""
