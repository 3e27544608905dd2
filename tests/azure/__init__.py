"""VMs in Azure itself, for a maintainer who has a subscription: `make azure-test GROUP=name`.

It makes a resource group, and in it a storage account, images, and three VMs for each image: one with a key, one with
a password, and one from the image that was captured of the first. It removes the group whatever happened.

The VHD goes to Azure as a page blob: that takes the `az` command and nothing else. An upload to a managed disk would
take azcopy too. The VMs are of generation 1: their images need no signed boot loader, and can be captured as managed
images, which VMs with Trusted Launch cannot.
"""
