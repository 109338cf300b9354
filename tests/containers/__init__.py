"""The image and the compose file in real containers, with stand-ins where no registry can be reached."""
