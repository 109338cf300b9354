"""`python -m console` is the callstitch command."""

from console.main import main

main()
