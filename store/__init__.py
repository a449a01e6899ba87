"""All SQL of Baton. Hands out the frozen values of `bot`, never rows."""
