"""Authentication and authorization: accounts, API keys, scopes."""
