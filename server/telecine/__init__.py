"""Telecine: a gRPC-first backend that serves video generation models."""

__version__ = "0.1.0"
