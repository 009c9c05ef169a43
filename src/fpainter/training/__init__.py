"""The Lightning module and what keeps a run going."""
