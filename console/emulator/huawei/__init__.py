"""Huawei's two products, played."""
