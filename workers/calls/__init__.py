"""The call in the making: facts in, record and events out; pure."""
