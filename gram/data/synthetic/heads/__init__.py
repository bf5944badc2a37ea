"""Heads: a statistical shape with hair, clothes, light and a wall behind."""
