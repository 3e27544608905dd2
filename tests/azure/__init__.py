"""VMs in Azure itself, for a maintainer with a subscription: `make azure-test GROUP=name`.

It makes a resource group with a storage account, images, and three VMs for each image: one with a key, one with a
password, and one from an image captured from the first. It always removes the group at the end.

The VHD is uploaded as a page blob, which needs only the `az` command. An upload to a managed disk would also need
azcopy. The VMs are of generation 1: their images need no signed boot loader, and can be captured as managed images,
unlike VMs with Trusted Launch.
"""
