"""Log-in at an OpenID Connect provider: what the library that does it lacks."""
