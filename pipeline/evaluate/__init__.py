"""The parts of an evaluation: each finds numbers, tells how, and draws what a person has to see."""
