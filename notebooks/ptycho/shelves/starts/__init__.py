"""First guesses of the probe: `name(scan, **options) -> (modes, n, n) complex64`."""
