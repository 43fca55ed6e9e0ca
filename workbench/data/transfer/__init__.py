"""Bring one declared file from its server into a folder, and unpack it: knows no cache."""
