"""Plays the platforms over real HTTP; imports nothing of ours, so that it can contradict us."""
