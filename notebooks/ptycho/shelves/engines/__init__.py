"""Engines: `name(scan, state, pace, seed, device, **options) -> State`."""
