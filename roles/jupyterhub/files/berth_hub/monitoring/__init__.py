"""The status page for admins: who is there, what they use, what went wrong."""
