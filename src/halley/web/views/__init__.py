"""Shapes the API's answers for pages. Pure functions: no clock, no request, no HTML."""
