"""`rehearse`: a first boot against an Azure inside the command."""
