"""Where older Cog kept what models import beside `cog` itself. The server is Halley."""
