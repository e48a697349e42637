"""Run the command `megabase` as `python -m megabase`."""

from megabase.cli.main import main

main()
