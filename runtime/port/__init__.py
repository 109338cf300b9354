"""A port that we listen on: its address, how many connections it holds, and the small pages of the admin port."""
