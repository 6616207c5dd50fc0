"""What people see: a hub, and the plain server it replaces, used through a real browser."""
