"""Huawei PrivateNumber, played."""
