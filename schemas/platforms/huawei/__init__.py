"""Huawei's telephony products, and what they share."""
