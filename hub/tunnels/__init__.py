"""The process that servers elsewhere dial in at, and how the portal keeps it running."""
