# In an image recipe: inherit azure-provisioning. The hook is enabled in the finished root file system, by the program
# itself, for the init system that it finds there; nothing of the image is executed.

IMAGE_INSTALL:append = " azure-provisioning"
ROOTFS_POSTPROCESS_COMMAND:append = " azure_provisioning_install;"

azure_provisioning_install() {
	python3 -I -S ${IMAGE_ROOTFS}${sbindir}/azure-provisioning install --root ${IMAGE_ROOTFS} --prefix ${prefix}
}
