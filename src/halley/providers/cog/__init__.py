"""Runs predictions at Cog HTTP servers: the containers that Cog builds, or `cog.server.http` without one."""
