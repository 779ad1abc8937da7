"""``guard check``: how configuration and policies that load fit each other, and what they name."""
