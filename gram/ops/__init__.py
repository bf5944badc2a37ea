"""Small networks at very many points: a reference, fast backends and their derivatives."""
