"""Why a change happened: from its two releases to a package, a switch or the definitions behind it."""
