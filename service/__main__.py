"""`python -m service`, the same as the command `tfbisect`."""

from service.cli.app import main

main()
