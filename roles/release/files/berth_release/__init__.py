"""Releases of a host: what runs there, what ran before, and the way back."""
