"""For older models, which import `current_scope` from here."""

from cog.retired import emit_metric
from cog.scope import Scope, current_scope

__all__ = ["Scope", "current_scope", "emit_metric"]
