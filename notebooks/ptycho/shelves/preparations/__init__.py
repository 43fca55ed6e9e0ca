"""Preparations of a scan: `name(scan, **options) -> Scan`."""
