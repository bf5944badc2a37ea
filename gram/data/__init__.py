"""Data sets of posed images: reading and writing them, checking them, and making heads and cars from nothing."""
