"""Twins: what would have happened to these patients under another treatment, and when that cannot be said."""
