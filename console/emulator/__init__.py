"""Plays the platforms over real HTTP, written from their protocol pages alone."""
