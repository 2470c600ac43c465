"""tfbisect: in which releases does a model behave differently, since when, until when, and why."""

__version__ = "0.1.0"
