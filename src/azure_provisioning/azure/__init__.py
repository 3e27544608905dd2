"""Asks Azure about this VM, and reports to it. Nothing in here changes the guest."""
