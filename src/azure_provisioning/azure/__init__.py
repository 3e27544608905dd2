"""Who told us? Azure answers and is reported to. Nothing in here changes the guest."""
