"""What preflight judges on the controller: names and values of variables, before any host is touched."""
