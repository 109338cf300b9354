"""Huawei VoiceCall, played."""
