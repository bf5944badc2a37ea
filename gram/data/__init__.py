"""Data sets of posed images: reading, writing and checking them, and making heads and cars from nothing."""
