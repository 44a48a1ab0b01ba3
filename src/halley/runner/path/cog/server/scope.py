"""Where older models take `current_scope` from."""

from cog.retired import emit_metric
from cog.scope import Scope, current_scope

__all__ = ["Scope", "current_scope", "emit_metric"]
