"""Plays the Huawei PrivateNumber platform over real HTTP, written from its protocol pages alone."""
