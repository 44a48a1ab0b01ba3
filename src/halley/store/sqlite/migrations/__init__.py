"""The schema, one numbered SQL file a step. A step that was released is never edited."""
