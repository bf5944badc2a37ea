"""Data sets of posed images: reading, writing, validation, and procedural heads and cars."""
