"""Downstream systems."""
