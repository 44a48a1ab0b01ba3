"""For models that import names from `cog.server`, as in older Cog. The server is Halley."""
