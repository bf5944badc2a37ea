"""Evaluation stage: parts that each return numbers, their protocol and images."""
