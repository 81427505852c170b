"""`python -m streams.cli`: the command line without its script, as the supervisor starts workers."""

from streams.cli import main

main()
