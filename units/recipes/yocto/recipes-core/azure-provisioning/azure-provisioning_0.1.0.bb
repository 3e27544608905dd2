SUMMARY = "Brings a Linux VM up on Azure without an agent"
LICENSE = "MIT"
LIC_FILES_CHKSUM = "file://${COMMON_LICENSE_DIR}/MIT;md5=0835ade698e0bcf8506ecda2f7b4f302"

# Put the released file into the folder files/ beside this recipe. Nothing is compiled, and nothing is enabled: the class
# azure-provisioning.bbclass does that, when the rest of the image is there.
SRC_URI = "file://azure-provisioning"

# Before Yocto 5.1 files were unpacked into WORKDIR itself.
UNPACKDIR ??= "${WORKDIR}"
S = "${UNPACKDIR}"

inherit allarch

do_install() {
	install -d ${D}${sbindir}
	install -m 0755 ${UNPACKDIR}/azure-provisioning ${D}${sbindir}/azure-provisioning
}

# json for the metadata, xml for the goal state and the DVD, io for sockets, crypt for a password's hash.
RDEPENDS:${PN} = "python3-core python3-io python3-json python3-xml python3-crypt"
