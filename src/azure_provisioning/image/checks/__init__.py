"""What an image needs to come up on Azure: one noun a module, each looks, and changes nothing. check.py lists them."""
