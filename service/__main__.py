"""`python -m service`, the same as the command `tfbisect`."""

from service.cli import main

main()
