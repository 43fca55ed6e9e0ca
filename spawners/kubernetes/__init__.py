"""Kubernetes: each server is a pod of a cluster."""

from .backend import KubernetesBackend

__all__ = ["KubernetesBackend"]
