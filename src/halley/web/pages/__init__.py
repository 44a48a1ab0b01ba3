"""The handlers of pages and actions, one module for each subject."""
