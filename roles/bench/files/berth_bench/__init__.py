"""What ``berth bench`` runs on a host: it starts servers by the hubs' own APIs, and takes the time."""
