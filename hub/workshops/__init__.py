"""Workshops: one link, everybody in their own server, and the trainer sees how far they are."""
