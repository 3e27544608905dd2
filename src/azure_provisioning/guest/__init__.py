"""What changes? One noun of the guest a module; each writes, and asks no network."""
