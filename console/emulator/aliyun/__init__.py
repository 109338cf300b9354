"""Aliyun number privacy, played."""
