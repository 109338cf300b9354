"""HTTP in: the bytes of a notification go to the broker, and only then is the platform answered."""
