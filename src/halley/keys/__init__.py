"""Who may ask: accounts, API keys, scopes."""
