"""`python -m helix.cli` is the `helix` command."""

from helix.cli import main

main()
