"""Telling receivers what happened: choose, throttle, sign, deliver, retry."""
