"""Writers of results: `name(path, scan, state, **options)`."""
