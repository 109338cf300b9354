"""What a platform is, and what every dialect reads with."""
