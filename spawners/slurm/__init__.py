"""Slurm: each server is a batch job under its user's own account."""

from .backend import SlurmBackend

__all__ = ["SlurmBackend"]
