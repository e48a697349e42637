"""`python -m megabase` is the command `megabase`."""

from megabase.cli.main import main

main()
