"""The files that a run finds in its working folder: gathered, checked, bounded, and packed for the way."""
