"""Procedural heads: a statistical shape model with hair, clothes, lighting and a background wall."""
