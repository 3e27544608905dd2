################################################################################
#
# azure-provisioning
#
################################################################################

AZURE_PROVISIONING_VERSION = 0.1.0
AZURE_PROVISIONING_SITE = $(AZURE_PROVISIONING_PKGDIR)
AZURE_PROVISIONING_SITE_METHOD = local
AZURE_PROVISIONING_LICENSE = MIT

define AZURE_PROVISIONING_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 0755 $(@D)/azure-provisioning \
		$(TARGET_DIR)/usr/sbin/azure-provisioning
endef

# By the program itself, on the build machine's Python; nothing of the image
# is executed.
define AZURE_PROVISIONING_ENABLE
	python3 -I -S $(TARGET_DIR)/usr/sbin/azure-provisioning install \
		--root $(TARGET_DIR) --prefix /usr
endef
AZURE_PROVISIONING_TARGET_FINALIZE_HOOKS += AZURE_PROVISIONING_ENABLE

$(eval $(generic-package))
