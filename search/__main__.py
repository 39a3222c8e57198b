"""`python -m search`: as the command `search`."""

from search.cli import main

main()
