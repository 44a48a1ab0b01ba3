"""Parts of every provider for a service elsewhere: requests, polling, following, limits, errors for operators."""
